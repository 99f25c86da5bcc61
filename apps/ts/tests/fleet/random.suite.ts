import { expect, it } from "bun:test";
import fc from "fast-check";
import { ANONYMOUS } from "#core/identity/scope";
import { type RunServer, runPath, until } from "../runs/server.ts";
import { type SseEvent, SseReader } from "../runs/sse-client.ts";
import type { FleetEngine } from "./engines.ts";
import { checkOrder, Fleet } from "./fleet.ts";

interface Plan {
  /** Which server accepts it. */
  at: 0 | 1;
  graph: "counter" | "slow" | "custom_writer";
  thread: number;
  strategy: "enqueue" | "interrupt" | "rollback";
  streamed: boolean;
  /** Which server cancels it, and how; undefined: nobody. */
  cancel: { at: 0 | 1; action: "interrupt" | "rollback" } | undefined;
}

const side = fc.constantFrom(0 as const, 1 as const);
const plan: fc.Arbitrary<Plan> = fc.record({
  at: side,
  graph: fc.constantFrom("counter" as const, "slow" as const, "custom_writer" as const),
  thread: fc.nat({ max: 3 }),
  strategy: fc.constantFrom("enqueue" as const, "enqueue" as const, "interrupt" as const, "rollback" as const),
  streamed: fc.boolean(),
  cancel: fc.option(fc.record({ at: side, action: fc.constantFrom("interrupt" as const, "rollback" as const) }), {
    nil: undefined,
    freq: 3,
  }),
});

const INPUT = { counter: { steps: 3 }, slow: { ms: 150 }, custom_writer: {} };
const MODES = ["values", "updates", "custom"];

export interface RandomOptions {
  rounds: number;
  seed?: number;
  /** Whether one of the servers loses its lease in each round. */
  losses?: boolean;
}

export function randomSuite(engine: FleetEngine, options: RandomOptions): void {
  const { rounds, seed = (Math.random() * 2 ** 31) | 0, losses = false } = options;
  const under = losses ? ", while leases are lost" : "";

  it(`ends every run once and skips nothing for any reader${under} (${engine.name}, seed ${seed})`, async () => {
    const config = { concurrency: 2, cancelGraceSeconds: 1, maxAttempts: 100 };
    await using fleet = await Fleet.start(engine, [config, config]);
    await fc.assert(
      fc.asyncProperty(fc.array(plan, { minLength: 1, maxLength: 12 }), side, (plans, lost) =>
        play(fleet, plans, losses ? lost : undefined),
      ),
      { numRuns: rounds, seed, endOnFailure: true },
    );
    expect(await fleet.server(0).storage.runs.audit()).toBe(0);
  }, 120_000);
}

async function play(fleet: Fleet, plans: readonly Plan[], lost: 0 | 1 | undefined): Promise<void> {
  const first = fleet.server(0);
  const threads = await Promise.all([0, 1, 2, 3].map(() => first.thread()));
  const ends = plans.map(async (each) => {
    const server = fleet.server(each.at);
    const thread = threads[each.thread] as { id: string; runs: string };
    const body = {
      assistant_id: each.graph,
      input: INPUT[each.graph],
      multitask_strategy: each.strategy,
      stream_mode: MODES,
    };
    const how = each.streamed ? "stream" : "wait";
    const answer = await server.open("POST", `${thread.runs}/${how}`, { body });
    const runId = (answer.headers.get("content-location") as string).split("/")[4] as string;
    const run = { thread_id: thread.id, run_id: runId };
    const readers = [0, 1].map((at) => read(fleet.server(at as 0 | 1), run));
    if (each.cancel !== undefined) {
      await fleet.server(each.cancel.at).post(`${runPath(run)}/cancel?action=${each.cancel.action}`);
    }
    if (each.streamed) checkOrder(await streamed(answer, lost !== undefined));
    else JSON.parse(await answer.text());
    for (const events of await Promise.all(readers)) if (events !== undefined) finished(events, each.streamed);
    const row = await first.storage.runs.find(ANONYMOUS, run.run_id);
    if (row !== undefined && !["success", "interrupted"].includes(row.status)) throw new Error(`it is ${row.status}`);
    if (row !== undefined && row.attempt > 1 && lost === undefined) throw new Error(`attempt ${row.attempt}`);
  });
  const over = Promise.all(ends);
  if (lost !== undefined) {
    await Promise.race([until(() => fleet.server(lost).worker.running > 0), over]);
    await fleet.lose(lost);
  }
  await over;
  const left = await first.storage.runs.counts();
  if (left.pending + left.running > 0) throw new Error(`left: ${JSON.stringify(left)}`);
}

/** What the stream gave that created a run: all of it, or, while leases are lost, what came before it was broken off. */
async function streamed(answer: Response, mayBreak: boolean): Promise<SseEvent[]> {
  const reader = new SseReader(answer);
  if (!mayBreak) return reader.rest();
  const broke = await reader.breaks();
  if (!broke && reader.events.at(-1)?.event !== "end") throw new Error("a stream ended well without an end");
  return reader.events;
}

/**
 * The whole of a run by joins, as a client that comes back with the last id when its stream is broken off; undefined when the run has been rolled back before.
 */
async function read(server: RunServer, run: { thread_id: string; run_id: string }): Promise<SseEvent[] | undefined> {
  const events: SseEvent[] = [];
  for (let from = "-1"; ; from = events.findLast(({ id }) => id !== undefined)?.id ?? "-1") {
    const answer = await server.open("GET", `${runPath(run)}/stream`, { headers: { "Last-Event-ID": from } });
    if (answer.status === 404) {
      await answer.text();
      return undefined;
    }
    const reader = new SseReader(answer);
    const broke = await reader.breaks();
    events.push(...reader.events);
    if (events.at(-1)?.event === "end") return events;
    if (!broke) throw new Error("a stream ended well without an end");
  }
}

/** It was told to its end, in order and without a hole. */
function finished(events: readonly SseEvent[], logged: boolean): void {
  checkOrder(events, logged);
  const names = events.map(({ event }) => event);
  if (names.filter((name) => name === "end").length !== 1) throw new Error(`not one end: ${names.join(" ")}`);
}
