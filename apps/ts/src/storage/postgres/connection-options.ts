import type { ClientConfig } from "pg";

/** What a stuck lock or a forgotten transaction may cost, ms. */
const SETTINGS = { statement_timeout: 30_000, lock_timeout: 10_000, idle_in_transaction_session_timeout: 15_000 };

/** How long an answer is waited for, ms. Above the server's own limit, so that it is only met when nothing answers. */
export const ANSWER_MS = 35_000;

/** Of every connection of ours, in a pool or alone. `settings`: whether it brings settings of its own. */
export function connectionOptions(settings = true): ClientConfig {
  return {
    application_name: "fractal",
    keepAlive: true,
    keepAliveInitialDelayMillis: 30_000,
    query_timeout: ANSWER_MS,
    ...(settings && SETTINGS),
  };
}
