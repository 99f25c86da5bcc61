import { describe, expect, it } from "bun:test";
import { ANONYMOUS } from "#core/identity/scope";
import type { EventRow } from "#core/runs/repository";
import { RunFeed } from "./feed.ts";
import { type ReadEnd, readLive } from "./reader.ts";

/** A run whose log is not kept: of its events only the metadata has an id. */
class Unlogged {
  readonly feed = new RunFeed("r", false, { events: 8, bytes: 1e6 });
  #i = 0;

  constructor() {
    this.#append("metadata", "{}", 0);
    this.feed.markDurable({ epoch: 1, n: 0 });
  }

  say(count: number): void {
    for (let k = 0; k < count; k++) this.#append("custom", String(this.#i++), null);
  }

  finish(): void {
    this.#append("end", "null", 1);
    this.feed.finish({ body: "{}" });
  }

  #append(mode: string, data: string, n: number | null): void {
    this.feed.append({ epoch: 1, n, runId: "r", ns: "", mode, at: 0, data });
  }

  reader(from: "start" | "now") {
    const rows: EventRow[] = [{ epoch: 1, n: 0, run_id: "r", ns: "", mode: "metadata", at: 0, data: "{}" }];
    const read = async (_scope: unknown, { after }: { after?: { epoch: number; n: number } | undefined }) =>
      rows.filter((row) => after === undefined || after.epoch < 1 || row.n > after.n);
    const source = {
      log: { read, news: async () => [] },
      scope: ANONYMOUS,
      run: { run_id: "r", thread_id: "t" },
    };
    const { signal } = new AbortController();
    return readLive(this.feed, source, { from, endEvent: true, modes: new Set(["custom"]), signal });
  }
}

async function next(reader: AsyncGenerator<Uint8Array[], ReadEnd>): Promise<string | ReadEnd> {
  const { done, value } = await reader.next();
  if (done) return value;
  const text = Buffer.concat(value).toString();
  return [...text.matchAll(/^event: (.+)\ndata: (.+)$/gm)].map(([, mode, data]) => `${mode} ${data}`).join(", ");
}

describe("a reader of a run whose log is not kept", () => {
  it("that is too slow is given the state, and what comes after it, not what is older", async () => {
    const run = new Unlogged();
    let state = '{"at":"first"}';
    run.feed.present = () => state;
    const reader = run.reader("now");
    const first = next(reader);
    run.say(2);
    expect(await first).toBe("custom 0, custom 1");
    run.say(30);
    state = '{"at":"second"}';
    expect(await next(reader)).toBe('values {"at":"second"}');
    // More is dropped, but nothing that is newer than the state it has.
    run.say(5);
    run.finish();
    expect(await next(reader)).toBe("custom 32, custom 33, custom 34, custom 35, custom 36, end null");
    expect(await next(reader)).toBe("over");
  });

  it("is told each time, and reads on from its place as long as it keeps up", async () => {
    const run = new Unlogged();
    run.feed.present = () => "{}";
    const reader = run.reader("start");
    expect(await next(reader)).toBe("metadata {}");
    for (let i = 0; i < 3; i++) {
      run.say(20);
      expect(await next(reader)).toBe("values {}");
      run.say(1);
      expect(await next(reader)).toBe(`custom ${i * 21 + 20}`);
    }
  });

  it("is sent away when nobody can say what the state is", async () => {
    const run = new Unlogged();
    const reader = run.reader("start");
    expect(await next(reader)).toBe("metadata {}");
    run.say(20);
    expect(await next(reader)).toBe("elsewhere");
    expect(run.feed.readers).toBe(0);
    const other = new Unlogged();
    // What filled it here before is not what the run has come to elsewhere.
    other.feed.present = () => "{}";
    other.feed.followed = true;
    const late = other.reader("start");
    expect(await next(late)).toBe("metadata {}");
    other.say(20);
    expect(await next(late)).toBe("elsewhere");
  });
});

it("a reader that knows more of a lost attempt than the log comes while the next one begins: it gets nothing twice", async () => {
  const feed = new RunFeed("r", true);
  const say = (epoch: number, n: number) =>
    feed.append({ epoch, n, runId: "r", ns: "", mode: "custom", at: 0, data: `"${epoch}-${n}"` });
  for (const n of [0, 1, 2]) say(1, n);
  // What was followed is in the feed; the attempt has the feed, and has not said anything yet.
  feed.executing = true;
  feed.epoch = 2;
  const source = {
    log: { read: async () => [], news: async () => [] },
    scope: ANONYMOUS,
    run: { run_id: "r", thread_id: "t" },
  };
  const { signal } = new AbortController();
  const modes = new Set(["custom"]);
  const reader = readLive(feed, source, { from: { epoch: 1, n: 5 }, endEvent: true, modes, signal });
  const first = next(reader);
  say(2, 0);
  expect(await first).toBe('custom "2-0"');
  // One that claims to know more of the attempt itself than was said gets everything.
  const strange = readLive(feed, source, { from: { epoch: 2, n: 9 }, endEvent: true, modes, signal });
  expect(await next(strange)).toBe('custom "1-0", custom "1-1", custom "1-2", custom "2-0"');
});
