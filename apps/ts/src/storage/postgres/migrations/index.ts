import { LANES } from "./001-lanes.ts";
import { RECOVERY } from "./001-recovery.ts";
import { RUNS } from "./001-runs.ts";
import { COMPRESSION, TABLES } from "./001-tables.ts";
import { WRITES } from "./001-writes.ts";
import { CHECKPOINT_ORDER } from "./002-checkpoint-order.ts";
import { QUARANTINE } from "./003-quarantine.ts";
import { LATEST_GRAPH } from "./004-latest-graph.ts";
import { RECENT_THREADS } from "./005-recent-threads.ts";
import { DELAYED_RUNS } from "./006-delayed-runs.ts";

/**
 * A step of the schema. It only adds: functions carry their version in their name, and what is no longer used goes a
 * release later, so that a server of the release before goes on working beside the new one.
 */
export interface Migration {
  version: number;
  /** The oldest server version (SCHEMA_VERSION) that can work on the schema after this step. */
  compatibleFrom: number;
  sql: string;
}

export const MIGRATIONS: readonly Migration[] = [
  { version: 1, compatibleFrom: 1, sql: [TABLES, COMPRESSION, LANES, RUNS, RECOVERY, WRITES].join("\n") },
  { version: 2, compatibleFrom: 1, sql: CHECKPOINT_ORDER },
  { version: 3, compatibleFrom: 1, sql: QUARANTINE },
  { version: 4, compatibleFrom: 1, sql: LATEST_GRAPH },
  { version: 5, compatibleFrom: 1, sql: RECENT_THREADS },
  { version: 6, compatibleFrom: 1, sql: DELAYED_RUNS },
];

/** What this server needs. */
export const SCHEMA_VERSION = 6;
