import type { Logger } from "@fractal-agents/infra/logger";
import type { CheckpointRepository } from "#core/checkpoints/repository";
import type { RunRepository, SweptRun } from "#core/runs/repository";
import type { Signals } from "#core/signals";
import type { Storage } from "#core/storage";
import type { EventRepository } from "#core/streams/repository";
import { describe, explain, parseAddress } from "./address.ts";
import { ValkeySignals } from "./hints.ts";
import { Link } from "./link.ts";
import { LiveNews } from "./live-news.ts";
import { LiveWriter } from "./live-writer.ts";

/** A Valkey or Redis server (7.0 or later) that makes a shared storage faster, and may be lost at any time. */
export interface Valkey extends AsyncDisposable {
  /** Host, port and database, without credentials. */
  readonly description: string;
  /** Hints between processes over this server. */
  readonly signals: Signals;
  /**
   * The same storage, with hints and news of runs that other processes execute going over Valkey. Disposing it disposes
   * the storage given; the connections are this object's own.
   */
  wrap<S extends Storage>(storage: S): S;
}

/**
 * Connects twice, for commands and for hints. Throws StorageError when the server cannot be reached or used; when it is
 * lost later, one line says so, everything goes on over the database, and one line says that it is back.
 *
 * The live log. The database's log is the truth: all events of logged runs are committed there, fenced, and kept. What
 * is committed is also appended, at the same moment, to a stream of the run (`fractal:ev:{run_id}`; about 2,000 packs,
 * for 600 s after the last), so readers in other processes may see events before they are durable, like readers in this
 * one. An entry is a pack of consecutive events under the id `<epoch>-<n+1>` of its last: the server refuses ids that do
 * not grow, so an attempt that has lost its lane is silent as soon as the next one speaks. The end of a run is appended
 * after the transaction that ends it.
 *
 * A reader takes from the stream only what follows its place without a hole: the next event of the same attempt, or the
 * first of the run's first attempt. Everything else (trimmed, flushed, never arrived, the change from one attempt to the
 * next, a run that is not known there, no server) is read from the database, from the same place: so nothing is skipped
 * and nothing comes twice. A stream that has nothing new is believed for two seconds.
 */
export async function openValkey(url: string, { logger }: { logger: Logger }): Promise<Valkey> {
  const address = parseAddress(url);
  const { Redis } = await import("ioredis");
  // Published messages go to all databases of a server, keys do not.
  const channel = `fractal:hints:${address.db}`;
  const watch = new Watch(describe(address), logger);
  const commands = new Link(Redis, address, {
    greet: async (redis) => {
      // What is written later: a replica, a full server or a user without rights shows now.
      await redis.xadd("fractal:probe", "MAXLEN", 1, "*", "at", Date.now());
      await redis.expire("fractal:probe", 60);
      await redis.publish(channel, JSON.stringify({ from: "probe", hints: [] }));
    },
    changed: (up, error) => watch.changed("commands", up, error),
  });
  const subscriber = new Link(Redis, address, {
    greet: (redis) => redis.subscribe(channel),
    changed: (up, error) => watch.changed("hints", up, error),
  });
  try {
    await Promise.all([commands.open(), subscriber.open()]);
  } catch (error) {
    await Promise.all([commands.close(), subscriber.close()]);
    throw explain(error, address);
  }
  const signals = new ValkeySignals(channel, { commands, subscriber }, logger);
  const writer = new LiveWriter(commands);
  const news = new LiveNews(commands);
  return {
    description: describe(address),
    signals,
    wrap: <S extends Storage>(storage: S): S =>
      replacing<S, Storage>(storage, {
        description: `${storage.description}, valkey ${describe(address)}`,
        signals: withFallback(signals, storage.signals),
        runs: tapRuns(storage.runs, writer),
        checkpoints: replacing<CheckpointRepository>(storage.checkpoints, {
          commit: (batch) => {
            for (const run_id of writer.append(batch)) signals.publish({ kind: "log", run_id });
            return storage.checkpoints.commit(batch);
          },
        }),
        events: replacing<EventRepository>(storage.events, {
          news: (runs, limit) => news.news(runs, limit, (missing, rows) => storage.events.news(missing, rows)),
        }),
      }),
    [Symbol.asyncDispose]: async () => {
      signals.close();
      await Promise.all([commands.close(), subscriber.close()]);
    },
  };
}

/** Watches the claims and ends of runs. */
function tapRuns(runs: RunRepository, writer: LiveWriter): RunRepository {
  const swept = <T extends SweptRun | undefined>(result: T): T => {
    const goesOn = result?.result === "requeued" || result?.result === "exonerated";
    if (result !== undefined && !goesOn) writer.forget(result.run.run_id);
    return result;
  };
  return replacing<RunRepository>(runs, {
    create: async (scope, run, claim) => {
      const outcome = await runs.create(scope, run, claim);
      if (outcome.kind === "created" && outcome.claimed) writer.claimed(outcome.run);
      return outcome;
    },
    claim: async (request) => {
      const claimed = await runs.claim(request);
      for (const run of claimed) writer.claimed(run);
      return claimed;
    },
    claimSuspects: async (request) => {
      const claimed = await runs.claimSuspects(request);
      for (const run of claimed) writer.claimed(run);
      return claimed;
    },
    claimRun: async (request, runId) => {
      const run = await runs.claimRun(request, runId);
      if (run !== undefined) writer.claimed(run);
      return run;
    },
    finish: async (fence, outcome) => {
      const result = await runs.finish(fence, outcome);
      if (result.kind === "finished" && result.run.logged) writer.end(fence, outcome.events);
      if (result.kind === "removed") writer.forget(fence.runId);
      return result;
    },
    retry: async (fence, failure, cause) => swept(await runs.retry(fence, failure, cause)),
    evict: async (fence) => swept(await runs.evict(fence)),
    sweep: async (limits) => (await runs.sweep(limits)).map(swept),
  });
}

/** The same object but for some members; it may be of a class with members of its own. */
function replacing<T extends Base, Base extends object = T>(target: T, members: Partial<Base>): T {
  return new Proxy(target, {
    get: (_, key) => {
      if (Object.hasOwn(members, key)) return Reflect.get(members, key);
      const member: unknown = Reflect.get(target, key);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

/**
 * Hints go by the database's own way, if it has one, while Valkey is away, and besides while it does not reach everybody:
 * a process may have been started without it, or have lost it.
 */
function withFallback(signals: ValkeySignals, stored: Signals): Signals {
  let processes = 1;
  return {
    publish: (hint) => {
      const reachesAll = signals.sending && signals.reached >= processes;
      signals.publish(hint);
      if (!reachesAll) stored.publish(hint);
    },
    subscribe: (listener) => {
      const stops = [signals.subscribe(listener), stored.subscribe(listener)];
      return () => {
        for (const stop of stops) stop();
      };
    },
    get connected() {
      return signals.connected;
    },
    expect: (count) => {
      processes = count;
    },
  };
}

/** One line for a loss, one for the recovery, whichever of the connections is concerned. */
class Watch {
  readonly #name: string;
  readonly #logger: Logger;
  readonly #missing = new Set<string>(["commands", "hints"]);
  #told = true;

  constructor(name: string, logger: Logger) {
    this.#name = name;
    this.#logger = logger;
  }

  changed(connection: string, up: boolean, error: Error | undefined): void {
    if (up) this.#missing.delete(connection);
    else this.#missing.add(connection);
    if (this.#missing.size === 0) {
      if (!this.#told) this.#logger.info({ valkey: this.#name }, "Valkey is back");
      this.#told = true;
    } else if (!up && this.#told) {
      this.#told = false;
      this.#logger.warn(
        { valkey: this.#name, err: error },
        "lost Valkey; runs and streams go on over the database, a little slower",
      );
    }
  }
}
