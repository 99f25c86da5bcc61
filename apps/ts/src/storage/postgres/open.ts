import { hostUrls } from "@fractal-agents/infra/host-urls";
import type { Logger } from "@fractal-agents/infra/logger";
import { type Storage, StorageError } from "#core/storage";
import { postgresAssistants } from "./assistants.ts";
import { postgresCheckpoints } from "./checkpoints.ts";
import { Database, type DatabaseOptions } from "./database.ts";
import { refuseLostStatements } from "./doctor-pooler.ts";
import { postgresEvents } from "./events.ts";
import { postgresKeeper } from "./keeper.ts";
import { postgresLanes } from "./lanes.ts";
import { migrate, SCHEMA_VERSION, schemaState } from "./migrate.ts";
import { postgresPing } from "./ping.ts";
import { missingRight, refuseUnfit } from "./requirements.ts";
import { postgresRetention } from "./retention.ts";
import { postgresRuns } from "./runs.ts";
import { PostgresSignals } from "./signals.ts";
import { postgresStore } from "./store.ts";
import { postgresThreads } from "./threads.ts";
import { postgresTotals } from "./totals.ts";
import { postgresWorkers } from "./workers.ts";
import { WriteCheck } from "./writable.ts";

export interface PostgresOptions extends DatabaseOptions {
  /** How long the others wait for a beat of this process. */
  leaseMs?: number;
  logger?: Pick<Logger, "warn" | "info" | "error">;
}

export interface PostgresStorage extends Storage {
  /** Of the pool; beside it the process has two connections: for its lease and for hints. */
  readonly connections: Database["connections"];
}

const SILENT = { warn: () => undefined, info: () => undefined, error: () => undefined };

/**
 * Opens a database for this process: makes the schema where there is none, and refuses one that is not of this version.
 * Rejects with StorageError, or the driver's error where it says enough (opening-failures.ts explains those).
 */
export async function openPostgresStorage(options: PostgresOptions): Promise<PostgresStorage> {
  const { leaseMs = 15_000, logger = SILENT } = options;
  const { url } = options;
  const writes = new WriteCheck();
  const onError = (error: unknown) => writes.note(error);
  const { database, version, settings } = await connect({ ...options, onError }, logger);
  try {
    const signals = new PostgresSignals({ database, logger });
    await signals.open();
    const { identity } = database;
    const confirm = () => database.confirm();
    const keeper = postgresKeeper({ url, settings, ttlMs: leaseMs, logger, confirm });
    identity.onChange(() => {
      logger.warn({}, "database timeline changed; runs that it lacks are lost");
      keeper.lose();
    });
    return {
      description: describe(url, version),
      shared: true,
      assistants: postgresAssistants(database),
      threads: postgresThreads(database),
      runs: postgresRuns(database),
      lanes: postgresLanes(database),
      checkpoints: postgresCheckpoints(database),
      events: postgresEvents(database),
      store: postgresStore(database),
      retention: postgresRetention(database),
      workers: postgresWorkers(database),
      keeper,
      signals,
      timeline: {
        get number() {
          return identity.number;
        },
        confirm,
        onChange: (listener) => identity.onChange(listener),
      },
      get connections() {
        return database.connections;
      },
      totals: () => postgresTotals(database),
      ping: postgresPing(database, () => keeper.workerId),
      writable: () => writes.prove(database),
      [Symbol.asyncDispose]: async () => {
        await signals[Symbol.asyncDispose]();
        await database[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await database[Symbol.asyncDispose]();
    throw error;
  }
}

/** How long a look at a pooler waits for an answer, ms. */
const POOLER_MS = 5_000;
const LIMITED = {
  timelines: "the database does not say which timeline it has; a replica that takes its place is not noticed",
  "prepared statements":
    "prepared statements get lost in the pooler; going on without them (see DATABASE_PREPARE and `fractal doctor`)",
};

/** A database that may be used; without session settings where a pooler refuses them. */
async function connect(options: PostgresOptions, logger: Pick<Logger, "warn">) {
  for (const settings of [true, false]) {
    const onLimited = (what: keyof typeof LIMITED, reason: Error) => logger.warn({ err: reason }, LIMITED[what]);
    const database = new Database({ ...options, settings, onLimited });
    try {
      if (options.prepare) await refuseLostStatements(() => database.open({ query_timeout: POOLER_MS }));
      return { database, settings, version: await prepare(database, options.url) };
    } catch (error) {
      await database[Symbol.asyncDispose]();
      if (!settings || !/unsupported startup parameter/.test(reasonsOf(error))) throw error;
      logger.warn(
        {},
        "the pooler refuses the time limits of connections; add them to its ignore_startup_parameters (see `fractal doctor`)",
      );
    }
  }
  throw new StorageError("The database cannot be used");
}

function reasonsOf(error: unknown): string {
  return error instanceof Error ? `${error.message} ${reasonsOf(error.cause)}` : "";
}

/** @returns The server's version, "15.18". */
async function prepare(database: Database, url: string): Promise<string> {
  const asking = { query: async (text: string) => ({ rows: await database.rows(text) }) };
  const version = await refuseUnfit(asking);
  // All of them now: else a server starts, and a run fails later at the first statement that is refused.
  const missing = await missingRight(asking);
  if (missing !== undefined) throw new StorageError(`${missing.text}: ${missing.grant}`);
  let state = await schemaState(asking);
  if (state === undefined) {
    await migrate(url);
    state = await schemaState(asking);
  }
  if (state === undefined || state.version < SCHEMA_VERSION) {
    throw new StorageError(
      `The schema of the database has version ${state?.version ?? 0}, this server needs ${SCHEMA_VERSION}: run \`fractal migrate\`.`,
    );
  }
  if (state.compatibleFrom > SCHEMA_VERSION) {
    throw new StorageError(
      `The schema of the database has version ${state.version}, which servers of schema version ${SCHEMA_VERSION} cannot use: update this server.`,
    );
  }
  return version;
}

function describe(url: string, version: string): string {
  const urls = hostUrls(url).map((each) => new URL(each));
  const hosts = urls.map(({ hostname, port }) => `${hostname}${port && `:${port}`}`);
  return `postgres ${version} ${hosts.join(",")}${urls[0]?.pathname ?? ""}`;
}
