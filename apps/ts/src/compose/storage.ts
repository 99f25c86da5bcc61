import type { Logger } from "@fractal-agents/infra/logger";
import type { Config } from "#config";
import { RuntimeError } from "#core/errors";
import { type Storage, StorageError } from "#core/storage";
import type { PostgresStorage } from "#storage/postgres/open";
import { openSqliteStorage } from "#storage/sqlite/open";

export interface OpenedStorage extends Storage {
  /** Of the pool to PostgreSQL; undefined for the embedded database. */
  readonly connections?: PostgresStorage["connections"];
}

export interface StorageDeps {
  logger: Logger;
  /** Told once, when the data directory is another process's: nothing works any more. */
  onLost?: (error: StorageError) => void;
}

/**
 * The storage that the configuration names, and no other: what is configured and cannot be used makes this reject with a
 * StorageError that says why. `inUse` (exit code 69) is set when it is only out of reach at present; otherwise something
 * must be configured differently (78).
 */
export async function openStorage(config: Config, deps: StorageDeps): Promise<OpenedStorage> {
  const { database, redis, dataDir, sqliteSynchronous } = config;
  if (database === undefined) return openSqliteStorage({ dataDir, synchronous: sqliteSynchronous, ...deps });
  // Loaded only where it is used: the drivers cost an embedded server time and memory.
  const [{ openPostgresStorage }, { isOutOfReach }] = await Promise.all([
    import("#storage/postgres/open"),
    import("#storage/postgres/opening-failures"),
  ]);
  const options = {
    ...database,
    leaseMs: Math.round(config.leaseSeconds * 1_000),
    logger: deps.logger,
  };
  const storage = await explained(config, openPostgresStorage(options));
  if (redis === undefined) return storage;
  try {
    return await withValkey(storage, redis.url, deps.logger);
  } catch (error) {
    await storage[Symbol.asyncDispose]();
    if (!(error instanceof StorageError) || !isOutOfReach(error)) throw error;
    throw new StorageError(error.detail, { cause: error, inUse: true });
  }
}

/**
 * What a start asks of the storage before it serves: rejects as `openStorage` does where the database is the reason, so
 * that the person reads a sentence, and the exit code says whether a restart can help.
 */
export async function explained<T>({ database }: Pick<Config, "database">, asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (database === undefined) throw unavailable(error);
    const { explainOpening } = await import("#storage/postgres/opening-failures");
    throw explainOpening(error, database.where);
  }
}

/** The embedded database has opened and refuses writes: a full disk, mostly. */
function unavailable(error: unknown): unknown {
  if (!(error instanceof RuntimeError) || error.code !== "unavailable") return error;
  return new StorageError(`${error.message}. Start again when that is over.`, { cause: error, inUse: true });
}

async function withValkey(storage: PostgresStorage, url: string, logger: Logger): Promise<OpenedStorage> {
  const { openValkey } = await import("#storage/valkey/open");
  const valkey = await openValkey(url, { logger });
  const wrapped = valkey.wrap(storage);
  return {
    ...wrapped,
    get connections() {
      return storage.connections;
    },
    [Symbol.asyncDispose]: async () => {
      await wrapped[Symbol.asyncDispose]();
      await valkey[Symbol.asyncDispose]();
    },
  };
}
