import type { Logger } from "@fractal-agents/infra/logger";
import { RuntimeError } from "#core/errors";
import { StorageError } from "#core/storage";
import type { Connection } from "./connection.ts";
import type { DirectoryLock } from "./lock.ts";
import { OpenFile } from "./open-file.ts";

const LOOK_MS = 1_000;

export interface FileWatchDeps {
  /** Of the database. */
  path: string;
  connection: Connection;
  lock: DirectoryLock;
  logger: Pick<Logger, "warn" | "info" | "error">;
  /** Called when another process has taken the data directory: this one must stop. */
  onLost(error: StorageError): void;
}

/**
 * Looks every second whether the database that is open is the one at its path, for as long as the storage is open.
 *
 *   in place --database or directory deleted, moved, replaced--> refusing --moved back--> in place
 *   in place --only -wal or -shm deleted--> made anew, nothing lost --> in place     in place --lock taken by another--> lost
 *
 * While refusing, nothing is read or written: reads would show what a stop takes away, and writes would go with it.
 */
export class FileWatch {
  readonly #deps: FileWatchDeps;
  readonly #database: OpenFile;
  readonly #timer: ReturnType<typeof setInterval>;
  /** The files beside the database, for as long as it is in WAL mode. */
  #beside: OpenFile[];
  #looking: Promise<void> | undefined;
  #refusing = false;
  /** A look has failed, and none has worked since. */
  #troubled = false;
  #closed = false;

  constructor(deps: FileWatchDeps) {
    this.#deps = deps;
    this.#database = new OpenFile(deps.path);
    this.#beside = this.#openBeside();
    this.#timer = setInterval(() => {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined;
      });
    }, LOOK_MS);
    this.#timer.unref?.();
  }

  /** Looks no more. */
  async stop(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#looking;
  }

  /** After the database itself. */
  close(): void {
    for (const file of [this.#database, ...this.#beside]) file.close();
  }

  async #look(): Promise<void> {
    const { path, logger, lock } = this.#deps;
    try {
      if (!this.#database.isInPlace()) return this.#refuse();
      if (!this.#beside.every((file) => file.isInPlace())) this.#makeAnew();
      const state = await lock.renew();
      if (this.#closed) return;
      if (state === "lost") return this.#lose();
      this.#troubled = false;
      if (state === "retaken") logger.warn({ path }, "lock file was removed; lock retaken");
      if (!this.#refusing) return;
      this.#refusing = false;
      this.#deps.connection.refuse(undefined);
      logger.info({ path }, "database file is in place again");
    } catch (error) {
      // Once per trouble: it is looked every second.
      if (!this.#troubled) logger.error({ err: error, path }, "database file could not be checked; will retry");
      this.#troubled = true;
    }
  }

  #refuse(): void {
    if (this.#refusing) return;
    this.#refusing = true;
    this.#deps.connection.refuse(
      new RuntimeError("unavailable", "The database file was deleted, moved or replaced; nothing is read or written"),
    );
    this.#deps.logger.error(
      {
        path: this.#database.path,
        advice:
          "Move the file back to continue. Until this process stops, its data can be copied on Linux " +
          `from /proc/${process.pid}/fd. A restart begins with what is at the path then.`,
      },
      "database file was deleted, moved or replaced; refusing reads and writes",
    );
  }

  /** What stands in a deleted -wal is moved into the database, and both files are begun anew under their names. */
  #makeAnew(): void {
    const { path, connection, logger } = this.#deps;
    connection.refuse(new RuntimeError("unavailable", "The write-ahead log of the database was deleted; try again"));
    connection.beginWal();
    for (const file of this.#beside) file.close();
    this.#beside = this.#openBeside();
    connection.refuse(undefined);
    logger.warn({ path }, "write-ahead log was deleted; recreated without loss");
  }

  #lose(): void {
    const { path, connection, onLost } = this.#deps;
    clearInterval(this.#timer);
    connection.refuse(new RuntimeError("unavailable", "Another process has taken the data directory"));
    onLost(new StorageError(`Another process has taken the data directory of ${path}.`, { inUse: true }));
  }

  #openBeside(): OpenFile[] {
    return ["-wal", "-shm"].map((suffix) => new OpenFile(`${this.#deps.path}${suffix}`));
  }
}
