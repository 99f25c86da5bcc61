import { Client, type ClientBase, type ClientConfig, type CustomTypesConfig, Pool, type PoolClient } from "pg";
import { connectionOptions } from "./connection-options.ts";
import { isConnectionFailure } from "./failures.ts";
import { connectTo, Hosts } from "./hosts.ts";
import { Identity } from "./identity.ts";
import { Silence } from "./silence.ts";

export interface PoolLimits {
  min: number;
  max: number;
  /** How long a request waits for a free connection, ms. */
  timeoutMs: number;
}

export interface ConnectionsOptions {
  url: string;
  pool: PoolLimits;
  /** Whether connections bring settings of their own; off for poolers that refuse them. */
  settings?: boolean | undefined;
  types: CustomTypesConfig;
  /** The servers do not say which past they have. */
  onBlind?: ((reason: Error) => void) | undefined;
}

/** How long a connection may be silent under a statement before it is looked into, ms; less where the pool gives less. */
const SUSPECT_MS = 3_000;
/** How long a look at the server may take, ms. */
const PROBE_MS = 3_000;

/**
 * The connections of this process to its database. Each new one is asked whose it is; one that has died without a word is
 * found out, and then none that was made before is used again.
 */
export class Connections implements AsyncDisposable {
  readonly identity: Identity;
  readonly silence: Silence;
  readonly #pool: Pool;
  readonly #hosts: Hosts;
  readonly #options: ConnectionsOptions;
  /** performance.now() when the connection had passed its check. */
  readonly #madeAt = new WeakMap<ClientBase, number>();
  /** Those that were made before are not used any more. */
  #trustedSince = 0;
  /** The server may have become a replica behind a connection that stayed: each is asked again before it is used. */
  #doubted = false;

  constructor(options: ConnectionsOptions) {
    const { url, pool, settings, types, onBlind } = options;
    const hosts = new Hosts(url);
    const identity = new Identity({ readWrite: hosts.readWrite, ...(onBlind && { onBlind }) });
    this.#options = options;
    this.#hosts = hosts;
    this.identity = identity;
    identity.onChange(() => this.#distrust());
    this.silence = new Silence({
      afterMs: Math.min(SUSPECT_MS, pool.timeoutMs / 3),
      probe: () => this.open({ connectionTimeoutMillis: PROBE_MS / hosts.count, query_timeout: PROBE_MS }),
      isDirect: (client) => identity.isDirect(client),
      onDead: () => this.#distrust(),
    });
    this.#pool = new Pool({
      ...connectionOptions(settings),
      types,
      min: pool.min,
      max: pool.max,
      connectionTimeoutMillis: pool.timeoutMs,
      idleTimeoutMillis: 30_000,
      Client: clientOf(hosts, pool.timeoutMs / hosts.count),
      onConnect: (client) => this.#admit(client),
    });
    // An idle connection that breaks is replaced when it is next needed; without a listener it would end the process.
    this.#pool.on("error", ignore);
  }

  /** Open, idle, and how many callers wait for one. */
  get counts(): { total: number; idle: number; waiting: number; max: number } {
    const { totalCount: total, idleCount: idle, waitingCount: waiting } = this.#pool;
    return { total, idle, waiting, max: this.#options.pool.max };
  }

  /** A connection that may be used; ended by `giveBack`. */
  async take(): Promise<PoolClient> {
    for (;;) {
      const client = await this.#connect();
      // The pool listens to idle clients only. What is wrong is told by the statement that needs the connection.
      client.on("error", ignore);
      if ((this.#madeAt.get(client) ?? 0) < this.#trustedSince) discard(client);
      else {
        if (this.#doubted) await this.#examine(client);
        return client;
      }
    }
  }

  /** `broken`: why it is not used again. */
  giveBack(client: PoolClient, broken: Error | undefined): void {
    client.off("error", ignore);
    client.release(broken);
  }

  /** A connection outside of the pool, for the caller to end. */
  open(config: ClientConfig): Promise<Client> {
    return connectTo(this.#hosts, this.identity, { ...connectionOptions(this.#options.settings), ...config });
  }

  /** A write was refused that a primary takes. */
  doubt(): void {
    this.#doubted = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.silence.close();
    await this.#pool.end();
  }

  /** From a host that does not do to the next, until all were tried. */
  async #connect(): Promise<PoolClient> {
    for (let tried = 1; ; tried++) {
      try {
        return await this.#pool.connect();
      } catch (error) {
        if (tried >= this.#hosts.count || !isConnectionFailure(error)) throw error;
      }
    }
  }

  async #admit(client: ClientBase): Promise<void> {
    try {
      await this.identity.check(client);
    } catch (error) {
      this.#hosts.failed((client as ClientBase & HostClient).url);
      throw error;
    }
    this.#madeAt.set(client, performance.now());
  }

  async #examine(client: PoolClient): Promise<void> {
    try {
      await this.identity.check(client);
    } catch (error) {
      this.#hosts.failed((client as PoolClient & HostClient).url);
      discard(client);
      throw error;
    }
    this.#doubted = false;
  }

  #distrust(): void {
    this.#trustedSince = performance.now();
  }
}

function ignore(): void {}

/** At once: the other end may not be there to say goodbye to. */
function discard(client: PoolClient): void {
  client.off("error", ignore);
  client.release(new Error("The connection is not used any more"));
  (client as unknown as Client).connection.stream.destroy();
}

interface HostClient {
  /** Of the host that it was made to. */
  readonly url: string;
}

/** What the pool makes its connections with: each to the host whose turn it is. */
function clientOf(hosts: Hosts, timeoutMs: number): new () => ClientBase {
  class PooledClient extends Client implements HostClient {
    readonly url: string;

    constructor(config?: ClientConfig) {
      const { url } = hosts;
      super({ ...config, connectionString: url, connectionTimeoutMillis: timeoutMs });
      this.url = url;
    }

    override connect(callback?: unknown): never {
      const done = callback as (error: Error | undefined, client?: unknown) => void;
      const failed = (error: Error | undefined, client?: unknown) => {
        if (error) hosts.failed(this.url);
        done(error, client);
      };
      return super.connect(failed as never) as never;
    }
  }
  return PooledClient as new () => ClientBase;
}
