import { describe, expect, it } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { GroupCommit } from "#core/checkpoints/group-commit";
import { ANONYMOUS } from "#core/identity/scope";
import type { RunRecord } from "#core/runs/repository";
import type { Storage } from "#core/storage";
import { RunEmitter } from "#core/streams/emitter";
import type { EventId } from "#core/streams/events";
import { RunFeed } from "#core/streams/feed";
import { readLive } from "#core/streams/reader";
import { enlist } from "../contract/harness.ts";
import { queuedRun } from "../runs/queued-run.ts";
import { openTestStorage } from "../servers/storage.ts";

type Step =
  | { do: "emit"; count: number; bytes: number }
  /** A turn of the event loop: writes are committed, readers woken. */
  | { do: "turn" }
  | { do: "join"; from: "start" | "now" | "id"; at: number }
  /** A reader that is there takes what there is, as its socket would ask for it. */
  | { do: "pull"; reader: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("emit" as const),
      count: fc.integer({ min: 1, max: 20 }),
      bytes: fc.integer({ min: 0, max: 40 }),
    }),
  },
  { weight: 4, arbitrary: fc.constant({ do: "turn" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("join" as const),
      from: fc.constantFrom("start" as const, "now" as const, "id" as const),
      at: fc.nat(60),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("pull" as const), reader: fc.nat(8) }) },
);

const turn = () => new Promise((resolve) => setImmediate(resolve));
const decoder = new TextDecoder();

/** One reader: what it has got so far, and what it must have got in the end. */
class Reader {
  readonly got: string[] = [];
  /** First n that it must get; undefined: that of its first event. */
  readonly first: number;
  readonly #source: AsyncGenerator<Uint8Array[]>;
  #asked: Promise<void> | undefined;
  done = false;

  constructor(source: AsyncGenerator<Uint8Array[]>, first: number) {
    this.#source = source;
    this.first = first;
  }

  pull(): Promise<void> {
    this.#asked ??= this.#source.next().then((next) => {
      this.#asked = undefined;
      if (next.done) this.done = true;
      else
        for (const [, id] of decoder.decode(Buffer.concat(next.value)).matchAll(/^id: (.+)$/gm))
          this.got.push(id as string);
    });
    return this.#asked;
  }
}

async function claimedRun(storage: Storage): Promise<RunRecord> {
  const { runs } = storage;
  await enlist({ storage }, "w");
  const run = queuedRun({ graph_id: "elsewhere", if_not_exists: "create", logged: true });
  await runs.create(ANONYMOUS, run);
  const claimed = await runs.claimRun({ worker_id: "w", slots: 1, graphs: ["elsewhere"] }, run.run_id);
  if (claimed === undefined) throw new Error("not claimed");
  return claimed;
}

async function play(storage: Storage, steps: readonly Step[]): Promise<void> {
  const run = await claimedRun(storage);
  const fence = { threadId: run.thread_id, runId: run.run_id, epoch: run.epoch };
  const commits = new GroupCommit(storage.checkpoints);
  const feed = new RunFeed(run.run_id, true, { events: 8, bytes: 400 });
  const failures: unknown[] = [];
  const emitter = new RunEmitter({
    feed,
    fence,
    logged: true,
    write: (rows) => commits.submit({ kind: "events", fence, rows }),
    onFailure: (error) => void failures.push(error),
  });
  const request = { endEvent: true, signal: new AbortController().signal };
  const source = { log: storage.events, scope: ANONYMOUS, run };
  const readers: Reader[] = [];
  let emitted = 1;
  emitter.begin("{}");
  const join = (from: "start" | "now" | EventId, first: number) => {
    const reader = new Reader(readLive(feed, source, { ...request, from }), first);
    readers.push(reader);
    // Its place is taken when it is first asked; the answer may take until something happens.
    void reader.pull();
  };
  const emit = (count: number, bytes: number) => {
    const data = JSON.stringify("x".repeat(bytes));
    for (let i = 0; i < count; i++) emitter.emit(i % 3 === 0 ? "values" : "custom", "", data);
    emitted += count;
  };
  const joinAt = (from: "start" | "now" | "id", n: number) => {
    if (from === "id") join({ epoch: run.epoch, n }, n + 1);
    else join(from, from === "now" ? emitted : 0);
  };
  for (const next of steps) {
    if (next.do === "turn") await turn();
    else if (next.do === "pull") void readers[next.reader % (readers.length || 1)]?.pull();
    else if (next.do === "join") joinAt(next.from, next.at % emitted);
    else emit(next.count, next.bytes);
  }
  await emitter.seal();
  const closing = emitter.conclude([{ mode: "end", data: "null", shown: true }]);
  const outcome = { status: "success" as const, error: null, scope: "", state: undefined, events: closing.rows };
  expect((await storage.runs.finish(fence, outcome)).kind).toBe("finished");
  closing.release();
  feed.finish({ body: "{}" });
  for (const reader of readers) while (!reader.done) await reader.pull();
  expect(failures).toEqual([]);
  expect(feed.readers).toBe(0);
  const all = Array.from({ length: emitted + 1 }, (_, n) => `${run.epoch}-${n}`);
  for (const reader of readers) expect(reader.got).toEqual(all.slice(reader.first));
  const log = await storage.events.read(ANONYMOUS, { thread_id: run.thread_id, run_id: run.run_id, limit: 10_000 });
  expect(log.map(({ epoch, n }) => `${epoch}-${n}`)).toEqual(all);
}

describe("readers of a run", () => {
  it("get every event once and in order, however appends, writes, trims and pulls fall", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "fractal-feed-"));
    const storage = await openTestStorage(dataDir);
    const seed = Number(process.env.FRACTAL_TEST_SEED ?? Date.now() % 2 ** 31);
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 80 }), (steps) => play(storage, steps)),
        { seed, numRuns: 300, verbose: 1 },
      );
    } finally {
      await storage[Symbol.asyncDispose]();
      await rm(dataDir, { recursive: true });
    }
  });
});
