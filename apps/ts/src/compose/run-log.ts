import type { Logger } from "@fractal-agents/infra/logger";
import type { RunObserver } from "#core/runs/observer";

/** Says of every run that it ended, in one line. */
export function logRuns(observer: RunObserver, logger: Logger): RunObserver {
  return {
    ...observer,
    ended(run) {
      observer.ended(run);
      const { graph_id: graph, status, seconds, thread_id: thread, run_id } = run;
      logger.info({ graph, status, ms: Math.round(seconds * 1_000), thread, run: run_id }, "run finished");
    },
  };
}
