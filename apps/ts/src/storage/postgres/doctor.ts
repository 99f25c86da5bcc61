import { Client, type ClientConfig } from "pg";
import type { Finding } from "#core/diagnosis";
import { StorageError } from "#core/storage";
import { connectionOptions } from "./connection-options.ts";
import type { DatabaseOptions } from "./database.ts";
import { examineHints, examineStatements } from "./doctor-pooler.ts";
import { connectTo, Hosts } from "./hosts.ts";
import { Identity } from "./identity.ts";
import { SCHEMA_VERSION, schemaState } from "./migrate.ts";
import { explainOpening } from "./opening-failures.ts";
import { missingRight } from "./requirements.ts";
import { trustsAnybody } from "./tls.ts";

const TIMEOUT_MS = 5_000;
const FLOOR = 15;
/** Beside the pool: the lease keeper's connection and the one that listens for hints. */
const OWN_CONNECTIONS = 2;
/** Leases are on the database's clock alone, so a difference only shows in times that people compare. */
const SKEW_MS = 2_000;

export interface ExamineOptions extends DatabaseOptions {
  /** "host:5432/database", without user and password. */
  where: string;
  /** Processes that this machine starts. */
  workers: number;
}

/** Looks at the database as a server would use it, and changes nothing. Never rejects. */
export async function examinePostgres(given: ExamineOptions): Promise<Finding[]> {
  const findings: Finding[] = [];
  let options: ExamineOptions;
  try {
    options = { ...given, url: await servingHost(given.url) };
  } catch (error) {
    return [unreachable(error, given.where)];
  }
  const client = await connect(options, findings);
  if (client === undefined) return findings;
  try {
    if (trustsAnybody(options.url)) findings.push(UNCHECKED);
    for (const look of [version, writable, encoding, durability]) findings.push(await look(client));
    const rights = await permissions(client);
    findings.push(rights);
    // Which version it has cannot be read without rights.
    for (const look of rights.status === "ok" ? [schema, clock, extensions] : [clock, extensions]) {
      findings.push(await look(client));
    }
    const statements = await examineStatements(client, {
      open: () => open(bare(options.url)),
      prepare: options.prepare,
    });
    findings.push(...statements.findings);
    findings.push(await connections(client, { ...options, pooled: statements.pooled }));
    findings.push(await examineHints(client, () => open(bare(options.url))));
  } catch (error) {
    const explained = explainOpening(error, options.where);
    findings.push({ id: "database", status: "fail", text: `A look at it failed: ${(explained as Error).message}` });
  } finally {
    await client.end();
  }
  return findings;
}

const UNCHECKED: Finding = {
  id: "database.tls",
  status: "warn",
  text: "The connection is encrypted, but nobody checks the certificate of the database",
  advice: "Give the authority's certificate and let it be checked: sslmode=verify-full&sslrootcert=/path/to/ca.pem.",
};

/** Of several hosts the URL of the one that a server would use; where none will do, of the first that was tried. */
async function servingHost(url: string): Promise<string> {
  const hosts = new Hosts(url);
  if (hosts.count === 1) return hosts.url;
  const config = { ...bare(hosts.url), connectionTimeoutMillis: TIMEOUT_MS / hosts.count };
  try {
    await (await connectTo(hosts, new Identity({ readWrite: hosts.readWrite }), config)).end();
  } catch {
    // The look at that one host says what is wrong.
  }
  return hosts.url;
}

/** With the server's own session settings first; a pooler may refuse those alone. */
async function connect(options: ExamineOptions, findings: Finding[]): Promise<Client | undefined> {
  const { url, where } = options;
  const startedAt = performance.now();
  const reached = () => {
    const ms = Math.round(performance.now() - startedAt);
    findings.push({ id: "database.reachable", status: "ok", text: `The database at ${where} answers in ${ms} ms` });
  };
  try {
    const client = await open({ ...connectionOptions(), connectionString: url, connectionTimeoutMillis: TIMEOUT_MS });
    reached();
    return client;
  } catch (error) {
    const parameter = /unsupported startup parameter:? *"?(\w+)/.exec((error as Error).message)?.[1];
    if (parameter === undefined) {
      findings.push(unreachable(error, where));
      return undefined;
    }
    try {
      const client = await open(bare(url));
      reached();
      findings.push({
        id: "database.session",
        status: "warn",
        text: `The pooler refuses the time limits of connections (${parameter}); the server works without them`,
        advice:
          "In pgbouncer.ini set ignore_startup_parameters = statement_timeout, lock_timeout, idle_in_transaction_session_timeout.",
      });
      return client;
    } catch (second) {
      findings.push(unreachable(second, where));
      return undefined;
    }
  }
}

function unreachable(error: unknown, where: string): Finding {
  const explained = explainOpening(error, where);
  const known = explained instanceof StorageError;
  return {
    id: "database.reachable",
    status: "fail",
    text: known ? explained.detail : `The database at ${where} cannot be used: ${(error as Error).message}`,
  };
}

async function open(config: ClientConfig): Promise<Client> {
  const client = new Client(config);
  // A connection that breaks later fails its next statement; without a listener it would end the process.
  client.on("error", () => undefined);
  try {
    await client.connect();
  } catch (error) {
    await client.end();
    throw error;
  }
  return client;
}

/** Without settings of the session; each statement is given a time in which to answer. */
function bare(url: string): ClientConfig {
  return {
    connectionString: url,
    application_name: "fractal doctor",
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
  };
}

async function one(client: Client, text: string): Promise<Record<string, unknown>> {
  return (await client.query(text)).rows[0] as Record<string, unknown>;
}

async function version(client: Client): Promise<Finding> {
  const id = "database.version";
  const { number, text } = await one(
    client,
    "select current_setting('server_version_num')::int as number, current_setting('server_version') as text",
  );
  if (Number(number) >= FLOOR * 10_000) return { id, status: "ok", text: `PostgreSQL ${text}` };
  return { id, status: "fail", text: `PostgreSQL ${text} is too old`, advice: `Use version ${FLOOR} or newer.` };
}

async function writable(client: Client): Promise<Finding> {
  const id = "database.writable";
  const { replica, only } = await one(
    client,
    "select pg_is_in_recovery() as replica, current_setting('transaction_read_only') = 'on' as only",
  );
  if (replica === true)
    return { id, status: "fail", text: "It is a read-only replica", advice: "Give the address of the primary." };
  if (only === true) {
    const advice = "Unset default_transaction_read_only for this user or database.";
    return { id, status: "fail", text: "Transactions are read-only", advice };
  }
  return { id, status: "ok", text: "It is a primary that takes writes" };
}

async function encoding(client: Client): Promise<Finding> {
  const { encoding: name } = await one(client, "select current_setting('server_encoding') as encoding");
  const id = "database.encoding";
  if (name === "UTF8") return { id, status: "ok", text: "Texts are stored as UTF-8" };
  return {
    id,
    status: "fail",
    text: `Texts are stored as ${name}, which cannot hold every character`,
    advice: "Create the database with encoding 'UTF8'.",
  };
}

async function durability(client: Client): Promise<Finding> {
  const id = "database.durability";
  const row = await one(
    client,
    "select current_setting('fsync') as fsync, current_setting('full_page_writes') as pages, current_setting('synchronous_commit') as commits",
  );
  if (row.fsync === "off" || row.pages === "off") {
    const name = row.fsync === "off" ? "fsync" : "full_page_writes";
    const text = `${name} is off: a power cut can destroy the database`;
    return { id, status: "warn", text, advice: `Set ${name} = on.` };
  }
  if (row.commits === "off") {
    const text = "synchronous_commit is off: a crash of the server can lose runs that were accepted";
    return { id, status: "warn", text, advice: "Set synchronous_commit = on, for this user at least." };
  }
  return { id, status: "ok", text: "Commits are on disk before they are acknowledged" };
}

async function permissions(client: Client): Promise<Finding> {
  const id = "database.permissions";
  const missing = await missingRight(client);
  if (missing !== undefined) return { id, status: "fail", text: missing.text, advice: missing.grant };
  const { who } = await one(client, "select current_user as who");
  return { id, status: "ok", text: `${who} has every right that the schema fractal needs` };
}

async function schema(client: Client): Promise<Finding> {
  const id = "database.schema";
  const found = await schemaState(client).catch((error: unknown) => {
    if (error instanceof StorageError) return error;
    throw error;
  });
  if (found instanceof StorageError) return { id, status: "fail", text: found.detail };
  if (found === undefined) {
    return {
      id,
      status: "ok",
      text: "There is no schema fractal yet: `fractal migrate`, or the first start, makes it",
    };
  }
  const { version: there, compatibleFrom } = found;
  if (there === SCHEMA_VERSION) return { id, status: "ok", text: `The schema fractal has version ${there}` };
  const text = `The schema fractal has version ${there}, this program is made for ${SCHEMA_VERSION}`;
  if (there < SCHEMA_VERSION) return { id, status: "fail", text, advice: "Run `fractal migrate`." };
  if (compatibleFrom <= SCHEMA_VERSION) return { id, status: "ok", text: `${text} and can work with it` };
  return { id, status: "fail", text, advice: "Update this program, or restore a backup." };
}

async function clock(client: Client): Promise<Finding> {
  const id = "database.clock";
  const before = Date.now();
  const { at } = await one(client, "select extract(epoch from clock_timestamp())::float8 * 1000 as at");
  const skew = Math.round(Number(at) - (before + Date.now()) / 2);
  const text = `The database's clock is ${Math.abs(skew)} ms ${skew < 0 ? "behind" : "ahead of"} this machine's`;
  if (Math.abs(skew) < SKEW_MS) return { id, status: "ok", text };
  const advice = "Runs and leases are not affected, but times in logs will not match: synchronise both with NTP.";
  return { id, status: "warn", text, advice };
}

async function extensions(client: Client): Promise<Finding> {
  const id = "database.extensions";
  const { vector } = await one(
    client,
    "select (select coalesce(installed_version, 'not installed') from pg_available_extensions where name = 'vector') as vector",
  );
  return { id, status: "ok", text: `No extension is needed (pgvector: ${vector ?? "not available"})` };
}

async function connections(client: Client, options: ExamineOptions & { pooled: boolean }): Promise<Finding> {
  const id = "database.connections";
  const row = await one(
    client,
    `select current_setting('max_connections')::int as max,
       current_setting('superuser_reserved_connections')::int
         + coalesce(current_setting('reserved_connections', true)::int, 0) as reserved,
       (select rolconnlimit from pg_roles where rolname = current_user) as role,
       (select datconnlimit from pg_database where datname = current_database()) as database,
       (select count(*)::int from pg_stat_activity
          where backend_type = 'client backend' and coalesce(application_name, '') not like 'fractal%') as others`,
  );
  const limits = [Number(row.max) - Number(row.reserved), Number(row.role), Number(row.database)];
  const free = Math.max(0, Math.min(...limits.filter((limit) => limit >= 0)) - Number(row.others));
  const each = options.pool.max + OWN_CONNECTIONS;
  const wanted = each * options.workers;
  const sum = `${options.workers} ${options.workers === 1 ? "process" : "processes"} with up to ${each} connections each, ${free} to be had`;
  if (options.pooled) return { id, status: "ok", text: `${sum} behind the pooler, which has a limit of its own` };
  if (wanted > free) {
    const fits = Math.floor(free / options.workers) - OWN_CONNECTIONS;
    const lower = fits > 0 ? `Set DATABASE_POOL_MAX_SIZE=${fits} or less, or raise` : "Start fewer processes, or raise";
    return { id, status: "fail", text: sum, advice: `${lower} max_connections, or put a pooler in between.` };
  }
  const machines = Math.floor(free / wanted);
  if (machines < 2) {
    const advice = "A second machine like this one would not fit: lower DATABASE_POOL_MAX_SIZE or use a pooler first.";
    return { id, status: "warn", text: sum, advice };
  }
  return { id, status: "ok", text: `${sum}: room for ${machines} machines like this one` };
}
