import { createLogger } from "@fractal-agents/infra/logger";
import { openPostgresStorage } from "#storage/postgres/open";
import { sharedPostgres as server } from "../servers/postgres.ts";
import type { FleetEngine } from "./engines.ts";

/** A lease that runs out while a test waits for it. */
const LEASE_MS = 3_000;

/** A database of its own for each fleet, and for each of its servers the connections, hints and lease of a process. */
export const sharedPostgres: FleetEngine = {
  name: "postgres",
  async open() {
    const url = await (await server()).createDatabase();
    const logger = createLogger({ level: "silent", json: true, write: () => undefined });
    const pool = { min: 0, max: 6, timeoutMs: 10_000 };
    return {
      connect: () => openPostgresStorage({ url, pool, prepare: true, leaseMs: LEASE_MS, logger }),
      [Symbol.asyncDispose]: async () => undefined,
    };
  },
};
