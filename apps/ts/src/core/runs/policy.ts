import type { RunFailure } from "./repository.ts";

/**
 * The rules about runs whose attempt did not end by itself, in numbers and words. SQL gets them as arguments.
 *
 * A run is suspected when a process that executed it has died. All runs of that process are suspects, in two halves that
 * are tried apart (`RunRepository.claimSuspects`); when a half dies again, it is halved again and the others are
 * exonerated. Only a run that was alone when its process died gets a strike, and `max_attempts` strikes end it.
 */
export const POLICY = {
  /** Restarts in all, by suspicion or by infrastructure, from which the run was not exonerated. */
  restarts: 10,
  /** Wait before the next attempt after the n-th strike or infrastructure failure; the last one holds for all later ones. */
  backoffMs: [0, 1_000, 3_000, 7_000, 15_000, 31_000, 60_000],
  /** A suspect that no process has tried for this long is claimed like any other run. */
  quarantineMs: 600_000,
  /** A sweep takes all runs of a dead process or none; one that it cannot lock holds up the others no longer than this. */
  lockPatienceMs: 5_000,
  /** A state write whose worker is not known is given up after this time. */
  writerMs: 60_000,
  /** `{n}` becomes the number. */
  text: {
    ended: "The run was given up: it ended its process {n} times",
    suspected:
      "The run was given up: {n} processes ended while they executed it, and no other run was found to be the cause",
    failed: "The run was given up after {n} failures; the last one: ",
    fault: "The run was given up: it ended its process {n} times; the last time: ",
  },
} as const;

/** How a process looks for the run that ends processes. */
export const QUARANTINE = {
  /** How long suspects have a process to themselves; doubles after every restart that did not identify the cause. */
  observeMs: 2_000,
  observeLongestMs: 30_000,
  /** How long suspects wait before a busy process takes nothing else, asks its runs to yield, and hands them back. */
  waitMs: { hold: 10_000, yield: 30_000, handBack: 60_000 },
  /** The same for a process that is the only one, or that has just tried the other half: it holds and asks at once. */
  eagerHandBackMs: 5_000,
} as const;

export function backoffMs(count: number): number {
  const { backoffMs: waits } = POLICY;
  return waits[Math.min(Math.max(count, 1), waits.length) - 1] as number;
}

/** How long suspects are observed; `restarts`: of the one that has most. */
export function observationMs(restarts: number): number {
  return Math.min(QUARANTINE.observeMs * 2 ** Math.max(0, restarts - 1), QUARANTINE.observeLongestMs);
}

/** Restarts that a run is allowed: who sets more attempts than the cap means them. */
export function restartsAllowed(maxAttempts: number): number {
  return Math.max(POLICY.restarts, maxAttempts);
}

export function givenUp(text: keyof typeof POLICY.text, count: number, why = ""): RunFailure {
  return { error: "RunAttemptsExhausted", message: POLICY.text[text].replace("{n}", String(count)) + why };
}
