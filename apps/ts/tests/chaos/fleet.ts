import { join } from "node:path";
import { Client } from "pg";
import { migrate } from "#storage/postgres/migrate";
import type { Mutation } from "../invariants/mutate.ts";
import { PostgresServer, sharedPostgres } from "../servers/postgres.ts";
import { ask } from "./client.ts";
import { History, WITNESS } from "./history.ts";
import { Instance } from "./instance.ts";
import { Judge } from "./judge.ts";

export interface FleetOptions {
  instances?: number;
  env?: Record<string, string>;
  /** A server of its own, which the test may restart; else a database on the shared one. */
  ownPostgres?: boolean | Record<string, string>;
  /** What the servers connect to in place of the database, e.g. a pooler or a proxy. */
  through?: (url: string) => Promise<string>;
  project?: string;
  mutations?: readonly Mutation[];
}

const ROOT_LEASE = { FRACTAL_LEASE_SECONDS: "3" };

/** Several real server processes over one database, a judge outside, and a witness inside. */
export class Fleet implements AsyncDisposable {
  readonly instances: Instance[] = [];
  readonly judge: Judge;
  readonly history: History;
  readonly databaseUrl: string;
  readonly serverUrl: string;
  readonly #postgres: PostgresServer | undefined;
  readonly #options: FleetOptions;
  #sql: Client | undefined;
  #turn = 0;

  private constructor(parts: {
    judge: Judge;
    databaseUrl: string;
    serverUrl: string;
    postgres: PostgresServer | undefined;
    options: FleetOptions;
  }) {
    this.judge = parts.judge;
    this.databaseUrl = parts.databaseUrl;
    this.serverUrl = parts.serverUrl;
    this.#postgres = parts.postgres;
    this.#options = parts.options;
    const folder = process.env.CHAOS_HISTORY;
    this.history = new History(folder ? join(folder, `${Date.now()}-${process.pid}.jsonl`) : undefined);
  }

  static async start(options: FleetOptions = {}): Promise<Fleet> {
    const { ownPostgres = false, instances = 2, through } = options;
    const settings = typeof ownPostgres === "object" ? ownPostgres : {};
    const postgres = ownPostgres === false ? undefined : await PostgresServer.start({ settings });
    const databaseUrl = postgres === undefined ? await (await sharedPostgres()).createDatabase() : postgres.url();
    await migrate(databaseUrl);
    const serverUrl = through === undefined ? databaseUrl : await through(databaseUrl);
    const judge = await Judge.start();
    const fleet = new Fleet({ judge, databaseUrl, serverUrl, postgres, options });
    try {
      await fleet.query(WITNESS);
      for (const mutation of options.mutations ?? []) await fleet.query(mutation.sql());
      await Promise.all(Array.from({ length: instances }, () => fleet.add()));
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
    return fleet;
  }

  async add(more: { env?: Record<string, string>; project?: string } = {}): Promise<Instance> {
    const env = {
      ...ROOT_LEASE,
      DATABASE_URL: this.serverUrl,
      JUDGE_URL: this.judge.url,
      ...this.#options.env,
      ...more.env,
    };
    const project = more.project ?? this.#options.project;
    const instance = new Instance(`instance ${this.instances.length}`, {
      env,
      ...(project !== undefined && { project }),
    });
    this.instances.push(instance);
    await instance.start();
    return instance;
  }

  at(index: number): Instance {
    const instance = this.instances[index];
    if (instance === undefined) throw new Error(`no instance ${index}`);
    return instance;
  }

  get postgres(): PostgresServer {
    if (this.#postgres === undefined) throw new Error("the server is shared with other tests");
    return this.#postgres;
  }

  /** The next instance in rotation; of none the first, which refuses. */
  url(): string {
    const up = this.instances.filter(({ inRotation }) => inRotation);
    return (up[this.#turn++ % Math.max(1, up.length)] ?? this.at(0)).url;
  }

  /** On whichever instance is there: one may be killed while it is asked. */
  async thread(): Promise<string> {
    for (let tries = 0; ; tries++) {
      try {
        return (await ask(this.url(), "/threads", {})).thread_id;
      } catch (error) {
        if (tries === 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  /** On a connection of the test's own to the database itself; made anew when it broke. */
  async query<T = Record<string, unknown>>(text: string, params: unknown[] = []): Promise<T[]> {
    if (this.#sql === undefined) {
      const client = new Client({ connectionString: this.databaseUrl });
      client.on("error", () => {
        if (this.#sql === client) this.#sql = undefined;
      });
      await client.connect();
      this.#sql = client;
    }
    // Without parameters as a simple query, which may be several statements.
    const result = params.length === 0 ? await this.#sql.query(text) : await this.#sql.query(text, params);
    return result.rows as T[];
  }

  /** Whose process executes a run, by the judge's last call of it. */
  executorOf(runId: string): Instance {
    const pid = this.judge.of(runId).at(-1)?.pid;
    const found = this.instances.find((instance) => instance.pid === pid);
    if (found === undefined) throw new Error(`nobody executes ${runId}`);
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.instances.map((instance) => instance[Symbol.asyncDispose]()));
    await this.#sql?.end().catch(() => undefined);
    await this.judge[Symbol.asyncDispose]();
    await this.#postgres?.[Symbol.asyncDispose]();
  }
}
