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

/** What an assistant adds (configuration, metadata) may have changed since, so only what the client itself says counts. */
function difference(earlier: RunRecord, asked: NewRun): string | undefined {
  const stateless = earlier.stateless && asked.stateless;
  if (!stateless && earlier.thread_id !== asked.thread_id) return "on another thread";
  if (earlier.assistant_id !== asked.assistant_id) return "of another assistant";
  return isDeepStrictEqual(wishes(earlier.kwargs), wishes(asked.kwargs)) ? undefined : "with another input";
}

function wishes({ input, command }: JsonObject): unknown {
  return JSON.parse(JSON.stringify({ input, command }));
}
