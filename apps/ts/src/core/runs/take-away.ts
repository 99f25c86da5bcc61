import { RunCancelled, RunTimeout, Shutdown } from "./abort.ts";
import { concludeSwept } from "./conclude.ts";
import type { RunHandle } from "./control.ts";
import { failureOf } from "./outcome.ts";
import type { RunEnvironment } from "./prepare.ts";
import type { SweptRun } from "./repository.ts";

/**
 * Code that was told to stop and does not listen: its run ends, or goes on, without it, by the reason that it was told.
 * Whatever it still writes is refused. `freed`: its slot is free, and its thread may have become so. Never rejects.
 */
export async function takeAway(env: RunEnvironment, handle: RunHandle, freed: () => void): Promise<void> {
  const { run_id } = handle.run;
  let swept: SweptRun | undefined;
  try {
    swept = handle.lost ? undefined : await decide(env, handle);
  } catch (error) {
    env.logger.error({ run_id, err: error }, "could not take the thread away from a run that does not stop");
  }
  if (swept === undefined) {
    // It has just ended, or another process was faster.
    handle.lose();
    freed();
  } else {
    const { graph_id, status } = swept.run;
    env.observer.ended({ graph_id, status, seconds: handle.seconds });
    env.logger.warn({ run_id, status }, "took the thread away from a run that did not stop");
    freed();
    await concludeSwept(env, swept);
    // For runs that came while the thread was brought up to date.
    freed();
  }
  // For whoever waits the attempt is over, whatever its code still does.
  handle.close();
}

/** The run, if it has ended by this. */
async function decide({ storage }: RunEnvironment, handle: RunHandle): Promise<SweptRun | undefined> {
  const { runs } = storage;
  const { reason } = handle.signal;
  if (reason instanceof RunCancelled) return runs.evict(handle.fence);
  if (reason instanceof Shutdown) {
    await runs.release(handle.fence);
    return undefined;
  }
  const error = failureOf(reason);
  if (!(reason instanceof RunTimeout)) {
    const swept = await runs.retry(handle.fence, error);
    return swept?.result === "requeued" ? undefined : swept;
  }
  const outcome = { status: "timeout" as const, error, scope: "", state: undefined, events: [] };
  const ended = await runs.finish(handle.fence, outcome);
  return ended.kind === "finished" ? { run: ended.run, result: "exhausted" } : undefined;
}
