import type { RunStatus } from "#schemas/runs";
import { RunCancelled, RunTimeout, Shutdown } from "./abort.ts";
import { concludeSwept } from "./conclude.ts";
import type { RunHandle } from "./control.ts";
import { idsOf } from "./observer.ts";
import { failureOf } from "./outcome.ts";
import { type RunEnvironment, scopeOfRun } from "./prepare.ts";
import type { SweptRun } from "./repository.ts";
import { untilStored } from "./until-stored.ts";

/**
 * Code that was told to stop and does not listen: its run ends, or goes on, without it, by the reason that it was told.
 * Whatever it still writes is refused. `freed`: its slot is free, and its thread may have become so. Never rejects.
 */
export async function takeAway(env: RunEnvironment, handle: RunHandle, freed: () => void): Promise<void> {
  const { run_id } = handle.run;
  const swept = await untilStored(env, () => decide(env, handle), {
    run_id,
    problem: "could not take the thread away from a run that does not stop",
    needed: () => !handle.lost && !handle.over,
  });
  if (swept === undefined) {
    // It has just ended, or another process was faster.
    handle.lose();
    freed();
  } else {
    const status = endOf(swept);
    env.observer.ended({ ...idsOf(swept.run), status, seconds: handle.seconds });
    env.logger.warn({ run_id, status }, "took the thread away from a run that did not stop");
    freed();
    await concludeSwept(env, swept);
    // For runs that came while the thread was brought up to date.
    freed();
  }
  // For whoever waits the attempt is over, whatever its code still does.
  handle.close();
}

/** How the run ended. One that was rolled back is gone, and its record still says that it runs. */
export function endOf({ run, result }: SweptRun): RunStatus {
  return result === "removed" ? "interrupted" : run.status;
}

/** The run, if it has ended by this. */
async function decide(env: RunEnvironment, handle: RunHandle): Promise<SweptRun | undefined> {
  const { runs } = env.storage;
  const { reason } = handle.signal;
  if (reason instanceof RunCancelled) return runs.evict(handle.fence);
  const error = failureOf(reason);
  if (!(reason instanceof RunTimeout)) {
    const { blamed, suspected, fence } = handle;
    if (suspected) return undefined;
    const swept =
      blamed !== undefined
        ? await runs.retry(fence, failureOf(blamed), "fault")
        : reason instanceof Shutdown
          ? await runs.release(fence)
          : await runs.retry(fence, error, "outage");
    return swept?.result === "requeued" ? undefined : swept;
  }
  const scope = scopeOfRun(env, handle.run);
  const outcome = { status: "timeout" as const, error, scope, state: undefined, events: [] };
  const ended = await runs.finish(handle.fence, outcome);
  return ended.kind === "finished" ? { run: ended.run, result: "exhausted" } : undefined;
}
