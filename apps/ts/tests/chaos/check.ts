import { expect } from "bun:test";
import type { SseEvent } from "../runs/sse-client.ts";
import type { Fleet } from "./fleet.ts";
import type { Call } from "./judge.ts";

export interface Accepted {
  runId: string;
  threadId: string;
}

const position = (id: string): [epoch: number, n: number] => id.split("-").map(Number) as [number, number];

/** Of everything that holds once the load has ended, whatever was done to the fleet. */
export interface Settled {
  /** Runs whose creation was answered 2xx. */
  accepted?: readonly Accepted[];
  /** Threads of which a rollback may have removed runs. */
  rolledBack?: ReadonlySet<string>;
  /** How long the rest may take, ms. */
  within?: number;
}

const LEFT = "select count(*)::int as n from fractal.runs where status in ('pending', 'running')";
const LANES = "select thread_id, active, head_seq from fractal.lanes where active is not null or head_seq is not null";

/** Waits until nothing is left to do, and proves I1, I2, I3, I5 and I6 of what there is then. */
export async function settled(
  fleet: Fleet,
  { accepted = [], rolledBack = new Set(), within = 60_000 }: Settled = {},
): Promise<void> {
  for (const deadline = Date.now() + within; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
    const [left] = await fleet.query<{ n: number }>(LEFT);
    if (left?.n === 0) break;
    if (Date.now() < deadline) continue;
    const stuck = await fleet.query(
      "select r.run_id, r.status, r.attempt, r.epoch, r.not_before, l.active, l.worker_id, l.head_seq, l.ready, " +
        "(select expires_at - fractal.now_ms() from fractal.workers w where w.worker_id = l.worker_id) as lease_left " +
        "from fractal.runs r join fractal.lanes l using (thread_id) where r.status in ('pending', 'running') limit 5",
    );
    throw new Error(`I1: ${left?.n} runs do not end, among them ${JSON.stringify(stuck)}`);
  }
  expect(await fleet.query("select * from chaos.late limit 5"), "I3: written after the lane had moved on").toEqual([]);
  const twice = await fleet.query(
    "select run_id, array_agg(coalesce(was, '-') || '>' || status order by nr) as steps from chaos.transitions " +
      "where status in ('success', 'error', 'timeout', 'interrupted') group by run_id having count(*) > 1 limit 5",
  );
  expect(twice, "I1: a run that ended more than once").toEqual([]);
  const wrong = await fleet.query(
    "select * from chaos.transitions where not ((was is null and status in ('pending', 'running')) or " +
      "(was = 'pending' and status in ('running', 'interrupted', 'deleted')) or " +
      "(was = 'running' and status <> 'running') or status = 'deleted') limit 5",
  );
  expect(wrong, "R1: a transition that does not exist").toEqual([]);
  const many = await fleet.query(
    "select run_id, strikes, restarts from fractal.runs where strikes >= max_attempts limit 5",
  );
  expect(many, "I6: more strikes than allowed").toEqual([]);
  const [audit] = await fleet.query<{ n: number }>("select fractal.audit_v2() as n");
  expect(audit?.n, "I5: lanes that contradict their runs").toBe(0);
  expect(await fleet.query(LANES), "I5: lanes that nobody will free").toEqual([]);
  expect(
    fleet.instances.flatMap((instance) => instance.complaints()),
    "complaints of the servers",
  ).toEqual([]);
  const known = new Set(
    (await fleet.query<{ run_id: string }>("select run_id from fractal.runs")).map((row) => row.run_id),
  );
  const lost = accepted.filter(({ runId, threadId }) => !known.has(runId) && !rolledBack.has(threadId));
  expect(lost, "I1: an accepted run that is gone without a rollback").toEqual([]);
}

/** I7: ids grow, have no hole within an epoch, and each attempt begins with its metadata; `end` is last, once. */
export function checkStream(events: readonly SseEvent[], whole = true): void {
  let last: [number, number] | undefined;
  for (const { event, id } of events) {
    if (id === undefined) continue;
    const [epoch, n] = position(id);
    if (last !== undefined) {
      const follows = epoch === last[0] ? n === last[1] + 1 : epoch > last[0] && n === 0;
      if (!follows) throw new Error(`I7: ${id} (${event}) follows ${last.join("-")}`);
    }
    if (n === 0 && event !== "metadata") throw new Error(`I7: ${id} is ${event}`);
    last = [epoch, n];
  }
  if (!whole) return;
  const ends = events.filter(({ event }) => event === "end" || event === "error").length;
  if (ends !== 1)
    throw new Error(
      `I7: ${ends} ends: ${events
        .map(({ event, id }) => `${event} ${id}`)
        .slice(-5)
        .join(", ")}`,
    );
  const name = events.at(-1)?.event;
  if (name !== "end" && name !== "error") throw new Error(`I7: the last event is ${name}`);
}

/** I7: every event of the log was delivered; one that was not kept belongs to an attempt that did not end the run. */
export function checkDelivered(seen: readonly SseEvent[], log: readonly SseEvent[]): void {
  const [got, kept] = [seen, log].map((events) => events.flatMap(({ id }) => id ?? []));
  const missing = kept?.filter((id) => !got?.includes(id)) ?? [];
  if (missing.length > 0)
    throw new Error(`I7: ${missing.length} events of the log were not delivered: ${missing.slice(0, 5)}`);
  const final = position(kept?.at(-1) ?? "0-0")[0];
  const extra = got?.filter((id) => !kept?.includes(id) && position(id)[0] === final) ?? [];
  if (extra.length > 0) throw new Error(`I7: delivered, of the last attempt, and not in the log: ${extra.slice(0, 5)}`);
}

/**
 * Steps of one run as the judge saw them: in a row, and an attempt begins with the step at which the one before stood, or
 * with the last that it had finished (`again`: 1; with 0 not even that, because its checkpoint is written before the next
 * step: durability "sync"). "loosely": only that no step was left out, because two attempts may have been at work for a
 * moment (a frozen process that goes on), or because the checkpoints of durability "async" may be late by any number of
 * steps when the process is killed.
 */
export function checkSteps(calls: readonly Call[], steps: number, again: 0 | 1 | "loosely" = 1): void {
  const seen = calls.map(({ step }) => step);
  let last = 0;
  for (const { step } of calls) {
    if (step > last + 1) throw new Error(`a step was left out: ${seen}`);
    if (again !== "loosely" && step <= last && last - step > again) {
      throw new Error(`finished steps were repeated: ${seen}`);
    }
    last = again === "loosely" ? Math.max(last, step) : step;
  }
  if (last !== steps) throw new Error(`the last step is ${last} of ${steps}: ${seen}`);
  if (again !== 0) return;
  const counts = new Map<number, number>();
  for (const { step, answered } of calls) if (answered !== undefined) counts.set(step, (counts.get(step) ?? 0) + 1);
  // An answer may have left the judge and not reached a process that died just then: at most one for each attempt.
  const twice = [...counts].filter(
    ([step, count]) => count > 1 && calls.some((call) => startsAfter(call, step, calls)),
  );
  if (twice.length > 0) throw new Error(`finished steps were done again: ${twice} of ${seen}`);
}

/** Whether this call of the next step was begun although the step before was done once more after it. */
function startsAfter(call: Call, step: number, calls: readonly Call[]): boolean {
  return call.step === step + 1 && calls.some((other) => other.step === step && other.began > call.began);
}
