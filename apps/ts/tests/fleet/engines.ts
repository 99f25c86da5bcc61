import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LeaseKeeper } from "#core/runs/workers";
import type { Hint, Signals } from "#core/signals";
import type { Storage } from "#core/storage";
import { openSqliteStorage } from "#storage/sqlite/open";

/** A database that several processes work on. */
export interface SharedDatabase extends AsyncDisposable {
  /** As one process sees it; disposed by whoever asked for it. */
  connect(): Promise<Storage>;
}

export interface FleetEngine {
  name: string;
  open(): Promise<SharedDatabase>;
}

const BEAT_MS = 50;

/** Hints from one member to the others, each in a later turn of the loop. */
class Party {
  readonly #members = new Set<Set<(hint: Hint) => void>>();

  join(): Signals {
    const own = new Set<(hint: Hint) => void>();
    this.#members.add(own);
    return {
      connected: true,
      publish: (hint) => {
        for (const member of this.#members) {
          if (member !== own) for (const listener of member) setImmediate(listener, hint);
        }
      },
      subscribe: (listener) => {
        own.add(listener);
        return () => void own.delete(listener);
      },
    };
  }
}

/** The embedded storage, seen by several engines of one process as if each were a process of its own. */
export const sharedSqlite: FleetEngine = {
  name: "sqlite, shared",
  async open() {
    const dataDir = mkdtempSync(join(tmpdir(), "fractal-fleet-"));
    const storage = await openSqliteStorage({ dataDir });
    const party = new Party();
    const live = new Set<string>();
    const keeper: LeaseKeeper = {
      async keep(worker, on) {
        await storage.workers.register(worker, 60_000);
        live.add(worker.worker_id);
        const timer = setInterval(async () => {
          const beat = await storage.workers.beat(worker.worker_id, 60_000);
          if (!live.has(worker.worker_id)) return;
          if (beat !== undefined) return on.beat({ ...beat, processes: live.size });
          live.delete(worker.worker_id);
          clearInterval(timer);
          on.lost();
        }, BEAT_MS);
        return {
          async end() {
            live.delete(worker.worker_id);
            clearInterval(timer);
            await storage.workers.remove(worker.worker_id);
          },
        };
      },
    };
    return {
      connect: async () => ({
        ...storage,
        shared: true,
        keeper,
        signals: party.join(),
        [Symbol.asyncDispose]: async () => undefined,
      }),
      [Symbol.asyncDispose]: async () => {
        await storage[Symbol.asyncDispose]();
        rmSync(dataDir, { recursive: true });
      },
    };
  },
};

/** The parts of a storage that answer late, wrongly, or not at all. */
export type Changes = (real: Storage) => Partial<Storage>;

/** The same database, whose answers come to each of its servers as `changes` will have it. */
export function altered(engine: FleetEngine, changes: Changes): FleetEngine {
  return {
    name: engine.name,
    async open() {
      const database = await engine.open();
      return {
        connect: async () => {
          const real = await database.connect();
          return { ...real, ...changes(real), [Symbol.asyncDispose]: () => real[Symbol.asyncDispose]() };
        },
        [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
      };
    },
  };
}

/** The same database on a day on which no hint arrives anywhere. */
export function withoutHints(engine: FleetEngine): FleetEngine {
  const signals: Signals = { connected: false, publish: () => undefined, subscribe: () => () => undefined };
  return { ...altered(engine, () => ({ signals })), name: `${engine.name}, without hints` };
}

/** The same, with everything that its servers say to each other written down. */
export function overheard(engine: FleetEngine, said: Hint[]): FleetEngine {
  return altered(engine, ({ signals }) => ({
    signals: {
      connected: true,
      subscribe: (each) => signals.subscribe(each),
      publish: (hint) => {
        said.push(hint);
        signals.publish(hint);
      },
    },
  }));
}
