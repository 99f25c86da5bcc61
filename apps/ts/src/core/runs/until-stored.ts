import type { Logger } from "@fractal-agents/infra/logger";
import { Rarely } from "@fractal-agents/infra/rarely";
import type { RunEnvironment } from "./prepare.ts";

const FIRST_MS = 50;
const LONGEST_MS = 2_000;
/** Of each log: however many runs wait for the same database, a line a minute says so. */
const outages = new WeakMap<Logger, Rarely>();

export interface Insistence {
  run_id: string;
  problem: string;
  /** Asked before every attempt; false: nobody needs it any more. */
  needed?: () => boolean;
}

/**
 * What must not be lost to a database that is out of reach, or to a full disk: tried until it is stored, or the process
 * stops, or nobody needs it any more; undefined then.
 */
export async function untilStored<T>(
  env: Pick<RunEnvironment, "logger" | "stopping" | "delay">,
  write: () => Promise<T>,
  { run_id, problem, needed = () => true }: Insistence,
): Promise<T | undefined> {
  for (let delay = FIRST_MS; needed(); delay = Math.min(delay * 2, LONGEST_MS)) {
    try {
      return await write();
    } catch (error) {
      if (env.stopping.aborted) return undefined;
      report(env.logger, { run_id, problem, error });
      await env.delay(delay);
    }
  }
  return undefined;
}

function report(logger: Logger, { run_id, problem, error }: { run_id: string; problem: string; error: unknown }): void {
  const outage = outages.get(logger) ?? new Rarely();
  outages.set(logger, outage);
  const unsaid = outage.due(`${problem}: ${error instanceof Error ? error.message : String(error)}`);
  if (unsaid === undefined) return;
  logger.error({ run_id, err: error, ...(unsaid > 0 && { unsaid }) }, `${problem}; trying again`);
}
