import { Client } from "pg";
import { migrate } from "#storage/postgres/migrate";
import { openPostgresStorage, type PostgresStorage } from "#storage/postgres/open";
import { enlist } from "../contract/harness.ts";
import { sharedPostgres } from "../servers/postgres.ts";
import type { Mutation } from "./mutate.ts";

const POOL = { min: 0, max: 12, timeoutMs: 30_000 };

let template: Promise<string> | undefined;

/** A database with the schema, copied for every test: faster than making the schema again. */
function schemaTemplate(): Promise<string> {
  template ??= (async () => {
    const server = await sharedPostgres();
    const name = `invariants_${crypto.randomUUID().slice(0, 8)}`;
    await migrate(await server.createDatabase(name));
    return name;
  })();
  return template;
}

/** Two processes' storages on one fresh database; their workers "w1" and "w2" are live, unless the test ends them. */
export class Bed implements AsyncDisposable {
  readonly a: PostgresStorage;
  readonly b: PostgresStorage;
  readonly url: string;
  /** A session of the test's own. */
  readonly sql: Client;
  readonly #others: Client[] = [];
  readonly #name: string;
  #closing: Promise<unknown> | undefined;

  private constructor(parts: { a: PostgresStorage; b: PostgresStorage; url: string; sql: Client; name: string }) {
    this.a = parts.a;
    this.b = parts.b;
    this.url = parts.url;
    this.sql = parts.sql;
    this.#name = parts.name;
  }

  /** With the product's SQL, or with some of it changed. */
  static async open(...mutations: Mutation[]): Promise<Bed> {
    const server = await sharedPostgres();
    const from = await schemaTemplate();
    const name = `bed_${crypto.randomUUID().slice(0, 8)}`;
    await asAdmin(`create database ${name} template ${from}`);
    const url = server.url(name);
    const sql = await connect(url);
    for (const mutation of mutations) await sql.query(mutation.sql());
    const [a, b] = [
      await openPostgresStorage({ url, pool: POOL, prepare: true }),
      await openPostgresStorage({ url, pool: POOL, prepare: true }),
    ];
    await enlist({ storage: a }, "w1");
    await enlist({ storage: b }, "w2");
    return new Bed({ a, b, url, sql, name });
  }

  /** One more session. */
  async session(): Promise<Client> {
    const client = await connect(this.url);
    this.#others.push(client);
    return client;
  }

  /** First column of the first row. */
  async value<T = unknown>(text: string, params: unknown[] = []): Promise<T> {
    const { rows } = await this.sql.query({ text, values: params, rowMode: "array" });
    return rows[0]?.[0] as T;
  }

  /** Until some session waits for a lock, or so many do. */
  async blocked(sessions = 1): Promise<void> {
    const waiting =
      "select count(*)::int from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while ((await this.value<number>(waiting)) < sessions) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  /** How often two of them have waited for each other. Ends both: sessions have told by the time that they are gone. */
  async deadlocks(): Promise<number> {
    await this.#close();
    const others =
      "select count(*)::int from pg_stat_activity where datname = current_database() and backend_type = 'client backend' " +
      "and pid <> pg_backend_pid()";
    while ((await this.value<number>(others)) > this.#others.length) await new Promise(setImmediate);
    return this.value<number>("select deadlocks::int from pg_stat_database where datname = current_database()");
  }

  #close(): Promise<unknown> {
    this.#closing ??= Promise.all([this.a[Symbol.asyncDispose](), this.b[Symbol.asyncDispose]()]);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
    for (const client of [this.sql, ...this.#others]) await client.end();
    await asAdmin(`drop database ${this.#name} with (force)`);
  }
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  // A session that is cut says so by the statement that needs it.
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

async function asAdmin(text: string): Promise<void> {
  const client = await connect((await sharedPostgres()).url("postgres"));
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}
