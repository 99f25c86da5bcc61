import type { RunOutcome } from "#core/runs/repository";
import { withoutNul } from "../common/run-rows.ts";
import type { Connection } from "./connection.ts";

export type ScopeState = NonNullable<RunOutcome["state"]>;

/** Keeps the state of one checkpoint scope of a thread; values that were not given stay as they are. */
export function writeState(connection: Connection, target: { thread: number; scope: string }, state: ScopeState): void {
  const interrupts = JSON.stringify(state.interrupts);
  const pending = state.pending || interrupts !== "{}" ? 1 : 0;
  const values = state.values === undefined ? null : withoutNul(state.values);
  connection
    .sql(
      'insert into thread_states (thread, scope, pending, interrupts, "values") values (?, ?, ?, ?, ?) ' +
        "on conflict (thread, scope) do update set pending = excluded.pending, interrupts = excluded.interrupts, " +
        '"values" = coalesce(excluded."values", "values")',
    )
    .run(target.thread, target.scope, pending, interrupts, values);
}

/** Whether any scope of the thread waits for somebody or has something left to do. */
export function isUnfinished(connection: Connection, thread: number): boolean {
  return (
    connection.sql("select 1 as pending from thread_states where thread = ? and pending = 1 limit 1").get(thread) !==
    undefined
  );
}
