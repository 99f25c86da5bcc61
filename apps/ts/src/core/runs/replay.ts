import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { RuntimeError } from "#core/errors";
import type { JsonObject } from "#schemas/common";
import type { NewRun, RunRecord } from "./repository.ts";

/**
 * A request with an idempotency key that was used before gets the run that is there only if it asks for the same:
 * whoever asks for something else would take that run for the one it wanted, which is never made. RuntimeError invalid.
 */
export function mustRepeat(earlier: RunRecord, asked: NewRun): void {
  const other = difference(earlier, asked);
  if (other === undefined) return;
  throw new RuntimeError("invalid", `Idempotency-Key: was used for a run ${other}; no run was made`);
}

/**
 * Identifies what a batch asks for: its first run carries it, so a repeat that asks for anything else is refused before
 * it makes a run.
 */
export function batchDigest(runs: readonly Pick<NewRun, "assistant_id" | "kwargs">[]): string {
  const asked = runs.map(({ assistant_id, kwargs }) => [assistant_id, wishes(kwargs)]);
  return createHash("sha256").update(JSON.stringify(asked, sortedMembers)).digest("hex");
}

/** The key of one run of a batch. No header holds a line break, so no request can name the key of another run. */
export function keyInBatch(key: string, index: number): string {
  return index === 0 ? key : `${key}\n${index}`;
}

/** What an assistant adds (configuration, metadata) may have changed since, so only what the client itself says counts. */
function difference(earlier: RunRecord, asked: NewRun): string | undefined {
  const [before, now] = [earlier.kwargs.batch, asked.kwargs.batch];
  if (before !== now)
    return before === undefined ? "outside a batch" : now === undefined ? "of a batch" : "of another batch";
  const stateless = earlier.stateless && asked.stateless;
  if (!stateless && earlier.thread_id !== asked.thread_id) return "on another thread";
  if (earlier.assistant_id !== asked.assistant_id) return "of another assistant";
  return isDeepStrictEqual(wishes(earlier.kwargs), wishes(asked.kwargs)) ? undefined : "with another input";
}

function wishes({ input, command }: JsonObject): unknown {
  return JSON.parse(JSON.stringify({ input, command }));
}

function sortedMembers(_: string, part: unknown): unknown {
  if (typeof part !== "object" || part === null || Array.isArray(part)) return part;
  return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
}
