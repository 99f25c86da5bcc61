import { describe, expect, it } from "bun:test";
import type { EventRow } from "#core/runs/repository";
import { RunEmitter } from "./emitter.ts";
import { RunFeed } from "./feed.ts";

const fence = { threadId: "t", runId: "r", epoch: 3 };
const END = [{ mode: "end", data: "null", shown: true }];

function emitter(logged: boolean, write: (rows: EventRow[]) => Promise<void>) {
  const feed = new RunFeed("r", true, { events: 3, bytes: 10_000 });
  const failures: unknown[] = [];
  const made = new RunEmitter({ feed, fence, logged, write, onFailure: (error) => void failures.push(error) });
  return { feed, failures, emitter: made };
}

const numbers = (rows: readonly EventRow[]) => rows.map(({ n }) => n);

describe("the executor's end of a feed", () => {
  it("numbers what is kept without holes, and hands the rest to the last transaction", async () => {
    const written: EventRow[][] = [];
    const { emitter: run, feed } = emitter(true, async (rows) => void written.push(rows));
    run.begin("{}");
    run.emit("custom", "", "1");
    run.emit("values", "", "2");
    await new Promise((resolve) => setImmediate(resolve));
    run.emit("custom", "a", "3");
    const { rows, release } = run.conclude(END);
    expect(written.map(numbers)).toEqual([[0, 1, 2]]);
    expect(rows.map(({ n, mode, ns, epoch }) => [n, mode, ns, epoch])).toEqual([
      [3, "custom", "a", 3],
      [4, "end", "", 3],
    ]);
    expect(feed.lastId).toEqual({ epoch: 3, n: 3 });
    release();
    expect(feed.lastId).toEqual({ epoch: 3, n: 4 });
    run.emit("custom", "", "late");
    expect(feed.lastId).toEqual({ epoch: 3, n: 4 });
  });

  it("keeps what could not be written for the last transaction: the log had a hole", async () => {
    let full = true;
    const written: EventRow[][] = [];
    const { emitter: run, failures } = emitter(true, async (rows) => {
      await Promise.resolve();
      if (full) throw new Error("disk full");
      written.push(rows);
    });
    run.begin("{}");
    run.emit("values", "", "1");
    run.emit("values", "", "2");
    await new Promise((resolve) => setImmediate(resolve));
    expect(failures).toHaveLength(2);
    full = false;
    run.emit("custom", "", "3");
    expect(numbers(run.conclude(END).rows)).toEqual([0, 1, 2, 3, 4]);
    expect(written).toEqual([]);
  });

  it("shows the events of a run whose log is not kept without a number, and stores what holds the ring back", async () => {
    const written: EventRow[][] = [];
    const { emitter: run, feed } = emitter(false, async (rows) => void written.push(rows));
    run.begin("{}");
    for (let i = 0; i < 20; i++) {
      run.emit("custom", "", String(i));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(written.map(numbers)).toEqual([[0]]);
    expect(feed.end - feed.start).toBeLessThanOrEqual(4);
    expect(feed.slice(feed.start).map(({ n }) => n)).toEqual(feed.slice(feed.start).map(() => null));
    expect(numbers(run.conclude(END).rows)).toEqual([1]);
  });

  it("says whether anybody would see an event", () => {
    const { emitter: run, feed } = emitter(false, async () => undefined);
    expect(run.watched).toBe(false);
    feed.readers++;
    expect(run.watched).toBe(true);
    expect(emitter(true, async () => undefined).emitter.watched).toBe(true);
  });
});
