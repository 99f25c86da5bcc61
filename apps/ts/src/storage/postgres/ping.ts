import { RuntimeError } from "#core/errors";
import type { Database } from "./database.ts";

/** How long a commit may take, ms: a probe must know before its own time is up. */
const COMMIT_MS = 2_000;
/** Writes a record that must be on disk, and with the synchronous replicas, and changes nothing. */
const TOUCH = "select from fractal.workers where worker_id = $1 for no key update";

/**
 * Asks whether the database takes writes, by a commit of this process's own row: one that answers reads may refuse every
 * write, or not come to the end of any. However many ask, one waits.
 */
export function postgresPing(database: Database, workerId: () => string | undefined): () => Promise<void> {
  let asking: Promise<unknown> | undefined;
  const ask = () => {
    const id = workerId();
    return id === undefined ? database.rows("select 1") : database.rows(TOUCH, [id]);
  };
  return async () => {
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    await within(asking);
  };
}

async function within(asking: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<never>();
  const isLate = () => late.reject(new RuntimeError("unavailable", "The database does not commit in time"));
  const timer = setTimeout(isLate, COMMIT_MS);
  try {
    await Promise.race([asking, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
