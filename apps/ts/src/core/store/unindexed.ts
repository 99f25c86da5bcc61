import type { Logger } from "@fractal-agents/infra/logger";
import { Rarely } from "@fractal-agents/infra/rarely";

const HOUR_MS = 3_600_000;
/** A warning an hour for a process and its logger, however many searches there are. */
const warnings = new WeakMap<Logger, Rarely>();

export const UNINDEXED = "the store has no index: a search with a query lists without it";

/** Warns that a search by meaning was answered with a list, newest first. */
export function warnUnindexed(logger: Logger, facts: { request_id?: string; run_id?: string }): void {
  const rarely = warnings.get(logger) ?? new Rarely(HOUR_MS);
  warnings.set(logger, rarely);
  const unsaid = rarely.due(UNINDEXED);
  if (unsaid !== undefined) logger.warn({ ...facts, ...(unsaid > 0 && { unsaid }) }, UNINDEXED);
}
