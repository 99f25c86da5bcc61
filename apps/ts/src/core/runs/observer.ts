import type { RunStatus } from "#schemas/runs";
import type { SweptRun } from "./repository.ts";

export interface EndedRun {
  run_id: string;
  thread_id: string;
  graph_id: string;
  status: RunStatus;
  seconds: number;
}

/** What happens to runs in this process, for whoever counts. Calls are cheap and never throw. Times in seconds. */
export interface RunObserver {
  /** A run was claimed; `waited`: since it was due; `attempt`: from 1. */
  claimed(run: { graph_id: string; waited: number; attempt: number }): void;
  /** First event of a streamed run reached its readers; since the run was created. */
  firstEvent(run: { graph_id: string; seconds: number }): void;
  /** A run reached its end here; `seconds`: of this attempt. */
  ended(run: EndedRun): void;
  /** An attempt ended without ending its run. */
  interrupted(run: { graph_id: string; reason: "released" | "retried" | "fenced" }): void;
  /** This process lost its lease. */
  leaseLost(): void;
  /** A sweep took runs over from processes that are gone. */
  swept(results: Record<SweptRun["result"], number>): void;
  /** Runs that have waited for more than a minute for a graph that this process has not loaded, by graph. */
  unserved(runs: Record<string, number>): void;
  /** The audit had to repair lanes: must stay 0. */
  repaired(lanes: number): void;
}

export function idsOf({ run_id, thread_id, graph_id }: Omit<EndedRun, "status" | "seconds">) {
  return { run_id, thread_id, graph_id };
}
