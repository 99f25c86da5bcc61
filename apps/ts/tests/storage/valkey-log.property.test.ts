import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import fc from "fast-check";
import type { Fence } from "#core/runs/fence";
import type { EventRow, RunRecord } from "#core/runs/repository";
import type { Storage } from "#core/storage";
import { compareIds } from "#core/streams/events";
import { ALICE, fenceOf, outcome } from "../contract/harness.ts";
import { redisAvailable } from "../servers/redis.ts";
import { Bed, Follower, say, says, streamOf } from "./valkey-bed.ts";

let bed: Bed;

/** What may happen to a run and to Valkey, in any order. */
const count = fc.integer({ min: 1, max: 5 });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("say" as const), count }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("say past Valkey" as const), count }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("say before it is stored" as const), count, who: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("say late" as const), count }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("say again" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("next attempt" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("flush" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("trim" as const) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("look" as const), who: fc.nat(2), limit: count }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

const LATE = JSON.stringify("late");

/** A run, the attempt before its present one, and three readers. */
class Story {
  readonly followers: Follower[];
  #run: RunRecord;
  #before: { fence: Fence; n: number } | undefined;
  #n = 0;
  #lately: EventRow[] = [];

  constructor(run: RunRecord) {
    this.#run = run;
    this.followers = [new Follower(bed, run), new Follower(bed, run), new Follower(bed, run)];
  }

  async play(action: Step): Promise<void> {
    const fence = fenceOf(this.#run);
    switch (action.kind) {
      case "say":
        return this.#say(bed.executor, action.count);
      case "say past Valkey":
        return this.#say(bed.database, action.count);
      case "say before it is stored": {
        const stored = Promise.withResolvers<void>();
        bed.storing = stored.promise;
        const saying = this.#say(bed.executor, action.count);
        await this.followers[action.who]?.look();
        stored.resolve();
        return saying;
      }
      case "say late":
        return this.#sayLate(action.count);
      case "say again":
        if (this.#lately.length > 0) await say(bed.executor, fence, this.#lately);
        return;
      case "next attempt":
        this.#before = { fence, n: this.#n };
        this.#run = await bed.again(this.#run);
        this.#n = 0;
        this.#lately = [];
        return;
      case "flush":
        await bed.raw.flushall();
        return;
      case "trim":
        await bed.raw.xtrim(streamOf(this.#run), "MAXLEN", 1);
        return;
      case "look":
        await this.followers[action.who]?.look(action.limit);
    }
  }

  async end(by: Storage): Promise<EventRow[]> {
    const { thread_id, run_id } = this.#run;
    const fence = fenceOf(this.#run);
    await by.runs.finish(fence, outcome({ events: says(fence, this.#n, "last", "end") }));
    return bed.database.events.read(ALICE, { thread_id, run_id, limit: 1000 });
  }

  async #say(to: Storage, times: number): Promise<void> {
    const data = Array.from({ length: times }, (_, i) => JSON.stringify({ n: this.#n + i }));
    this.#lately = says(fenceOf(this.#run), this.#n, ...data);
    expect(await say(to, fenceOf(this.#run), this.#lately)).toBe("written");
    this.#n += times;
  }

  /** The attempt before does not know yet that it is over. */
  async #sayLate(times: number): Promise<void> {
    if (this.#before === undefined) return;
    const { fence, n } = this.#before;
    const rows = says(fence, n, ...Array.from({ length: times }, () => LATE));
    expect(await say(bed.executor, fence, rows)).toBe("fenced");
    this.#before.n += times;
  }
}

describe.skipIf(redisAvailable() !== undefined)("readers of the live log", () => {
  beforeAll(async () => {
    bed = await Bed.open();
  });

  afterAll(async () => {
    await bed[Symbol.asyncDispose]();
  });

  it("see what the database holds, each event once, whatever happens to Valkey", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.boolean(), async (steps, endsWithout) => {
        const run = await bed.start();
        const story = new Story(run);
        for (const action of steps) await story.play(action);
        const stored = await story.end(endsWithout ? bed.database : bed.executor);
        if (endsWithout) await bed.raw.flushall();
        for (const follower of [...story.followers, new Follower(bed, run)]) {
          await follower.toEnd();
          const { rows } = follower;
          for (let i = 1; i < rows.length; i++) {
            expect(compareIds(rows[i - 1] as EventRow, rows[i] as EventRow)).toBeLessThan(0);
          }
          // What a dead attempt said before the next one spoke was for live eyes only.
          expect(rows.filter((row) => row.data !== LATE)).toEqual(stored);
        }
      }),
      { numRuns: 100 },
    );
  }, 120_000);
});
