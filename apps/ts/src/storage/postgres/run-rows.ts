import type { RunRecord } from "#core/runs/repository";
import { toRun as recordOf, type RunRow as Stored } from "../common/run-rows.ts";

/** `fractal.runs` as the driver gives it: int8 as number, JSON as text. */
export interface RunRow extends Omit<Stored, "stateless" | "logged" | "thread"> {
  stateless: boolean;
  logged: boolean;
}

const NAMES = [
  "seq",
  "run_id",
  "thread_id",
  "tenant",
  "owner",
  "assistant_id",
  "graph_id",
  "revision",
  "status",
  "multitask_strategy",
  "durability",
  "on_completion",
  "stateless",
  "logged",
  "run_at",
  "not_before",
  "attempt",
  "max_attempts",
  "epoch",
  "first_epoch",
  "strikes",
  "restarts",
  "quarantine",
  "cancel_action",
  "created_at",
  "updated_at",
  "started_at",
  "ended_at",
  "metadata",
  "error",
  "kwargs",
];

/** Select list for `toRun`, of the alias or composite column `from`. */
export function runColumns(from: string): string {
  return NAMES.map((name) => `${from}.${name}`).join(", ");
}

export function toRun(row: RunRow): RunRecord {
  return recordOf({ ...row, stateless: row.stateless ? 1 : 0, logged: row.logged ? 1 : 0 });
}
