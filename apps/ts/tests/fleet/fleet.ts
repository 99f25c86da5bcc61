import type { Config } from "#config";
import type { Storage } from "#core/storage";
import { RunServer, until } from "../runs/server.ts";
import type { SseEvent } from "../runs/sse-client.ts";
import type { FleetEngine, SharedDatabase } from "./engines.ts";

/** Several servers over one database, each with an engine of its own. */
export class Fleet implements AsyncDisposable {
  readonly #database: SharedDatabase;
  readonly #members: { server: RunServer; storage: Storage; gone: boolean }[] = [];

  /** Path of their langgraph.json; that of the runs' tests without one. */
  readonly #project: string | undefined;

  private constructor(database: SharedDatabase, project: string | undefined) {
    this.#database = database;
    this.#project = project;
  }

  /** One server with each of these settings. */
  static async start(engine: FleetEngine, members: Partial<Config>[], project?: string): Promise<Fleet> {
    const fleet = new Fleet(await engine.open(), project);
    for (const config of members) await fleet.add(config);
    return fleet;
  }

  async add(config: Partial<Config> = {}): Promise<RunServer> {
    const storage = await this.#database.connect();
    const server = await RunServer.start({}, this.#project, { storage, config });
    this.#members.push({ server, storage, gone: false });
    return server;
  }

  server(index: number): RunServer {
    const member = this.#members[index];
    if (member === undefined) throw new Error(`no server ${index}`);
    return member.server;
  }

  /** Its lease is over, as if it had not beaten for too long; it finds out at its next beat. */
  async lose(index: number): Promise<void> {
    const { worker, storage } = this.server(index);
    // It may still be on its way back from the last time.
    await until(() => worker.id !== undefined);
    const id = worker.id as string;
    await storage.workers.remove(id);
    await until(() => worker.id !== id);
  }

  async stop(index: number): Promise<void> {
    const member = this.#members[index];
    if (member === undefined || member.gone) return;
    member.gone = true;
    await member.server[Symbol.asyncDispose]();
    await member.storage[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let index = this.#members.length - 1; index >= 0; index--) await this.stop(index);
    await this.#database[Symbol.asyncDispose]();
  }
}

/**
 * Throws unless ids grow and every attempt begins with its metadata; and, of a run whose log is kept, have no holes within
 * an attempt (of others a live reader has seen the final values without an id).
 */
export function checkOrder(events: readonly SseEvent[], logged = true): void {
  let last = { epoch: -1, n: -1 };
  for (const { event, id } of events) {
    if (id === undefined) continue;
    const [epoch = -1, n = -1] = id.split("-").map(Number);
    const next =
      epoch === last.epoch
        ? logged
          ? n === last.n + 1
          : n > last.n
        : epoch > last.epoch && (last.epoch < 0 || n === 0);
    if (!next) throw new Error(`${id} follows ${last.epoch}-${last.n}`);
    if (n === 0 && event !== "metadata") throw new Error(`${id} is ${event}`);
    last = { epoch, n };
  }
}
