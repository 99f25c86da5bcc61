import type { Fence } from "#core/runs/fence";
import type { FinishResult, RunOutcome } from "#core/runs/repository";
import { packsOf } from "../common/event-packs.ts";
import { withoutNul } from "../common/run-rows.ts";
import { ALONE_MS, Batch, PATIENCE_MS } from "./batch.ts";
import { type Database, uuid } from "./database.ts";
import { type RunRow, runColumns, toRun } from "./run-rows.ts";

/**
 * Many at once, in the order given; `i`: which one, from 1. JSON that is only kept travels as text: as JSON it would be
 * decoded, and half a surrogate pair in it would be refused.
 */
const FINISH =
  "with patience as materialized (select set_config('lock_timeout', $2::integer::text, true)) " +
  `select q.i::integer as i, f.kind, f.thread_status, ${runColumns("(f.r)")} from patience, lateral rows from (` +
  "json_to_recordset(case when patience.set_config is not null then $1::json end) as (" +
  'thread uuid, run uuid, epoch bigint, status text, error text, scope text, state boolean, "values" text, ' +
  "interrupts text, pending boolean, events json)) with ordinality as q (thread, run, epoch, status, error, scope, state, " +
  '"values", interrupts, pending, events, i), lateral fractal.finish_v1(q.thread, q.run, q.epoch, q.status, ' +
  'q.error::json, q.scope, q.state, q."values"::json, q.interrupts::json, q.pending, q.events) f';

interface Call {
  fence: Fence;
  outcome: RunOutcome;
}

type Answer = RunRow & {
  i: number;
  kind: FinishResult["kind"];
  thread_status: Extract<FinishResult, { kind: "finished" }>["thread_status"];
};

/** `RunRepository.finish`: runs that end at the same time share a statement. A call that is repeated finds itself done. */
export function finishes(database: Database): Batch<Call, FinishResult> {
  const send = async (calls: readonly Call[], lockMs = PATIENCE_MS) => {
    const text = `[${calls.map(textOf).join(",")}]`;
    const rows = await database.rows<Answer>(FINISH, [text, lockMs], { impatient: lockMs === PATIENCE_MS });
    return rows.sort((a, b) => a.i - b.i).map(resultOf);
  };
  return new Batch({
    send,
    key: ({ fence }) => fence.threadId.toLowerCase(),
    alone: async (call) => (await send([call], ALONE_MS))[0] as FinishResult,
  });
}

function textOf({ fence, outcome }: Call): string {
  const { state, error, events } = outcome;
  return JSON.stringify({
    thread: uuid(fence.threadId),
    run: uuid(fence.runId),
    epoch: fence.epoch,
    status: outcome.status,
    scope: outcome.scope,
    state: state !== undefined,
    pending: state?.pending ?? false,
    ...(events.length > 0 && { events: packsOf(events) }),
    ...(error !== null && { error: withoutNul(JSON.stringify(error)) }),
    ...(state?.values !== undefined && { values: withoutNul(state.values) }),
    ...(state !== undefined && { interrupts: withoutNul(JSON.stringify(state.interrupts)) }),
  });
}

function resultOf(row: Answer): FinishResult {
  if (row.kind === "finished") return { kind: "finished", run: toRun(row), thread_status: row.thread_status };
  return { kind: row.kind };
}
