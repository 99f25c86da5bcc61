import type { Client } from "pg";
import type { Finding } from "#core/diagnosis";
import { StorageError } from "#core/storage";
import { codeOf } from "./failures.ts";

const HINT_MS = 2_000;

export interface StatementLook {
  /** A second connection to the same address. */
  open(): Promise<Client>;
  /** DATABASE_PREPARE. */
  prepare: boolean;
}

export interface StatementFindings {
  /** Whether a pooler stands between this process and the server. */
  pooled: boolean;
  /** Whether statements prepared on one connection get lost; undefined when that could not be seen. */
  lost?: boolean;
  findings: Finding[];
}

/**
 * Who executes the statements of one connection: always the same backend, or, behind a pooler in transaction mode, any
 * that is free. While a second connection holds the backend of the first in a transaction, the first must get another;
 * a statement that was prepared on the one is then missing on the other, unless the pooler knows of it.
 */
export async function examineStatements(client: Client, look: StatementLook): Promise<StatementFindings> {
  const own = await backendOf(client);
  // The pid that the connection was told at its start is the pooler's invention where there is one.
  const direct = own === (client as unknown as { processID: number | null }).processID;
  if (direct)
    return { pooled: false, findings: [{ id: "database.pooler", status: "ok", text: "The connection is direct" }] };
  const statement = { name: `fractal_doctor_${crypto.randomUUID()}`, text: "select pg_backend_pid() as pid" };
  const prepared = await prepare(client, statement);
  const other = await look.open();
  try {
    await other.query("begin");
    const last = "pid" in prepared ? prepared.pid : own;
    const shared = (await backendOf(other)) === last;
    if (!shared) {
      const text = "There is a pooler or proxy in between, which keeps one backend per connection";
      return { pooled: true, findings: [{ id: "database.pooler", status: "ok", text }] };
    }
    const mode: Finding = {
      id: "database.pooler",
      status: "ok",
      text: "There is a pooler in transaction mode in between",
    };
    const again = await prepare(client, statement);
    const findings = [mode, statements(again, look.prepare)];
    return { pooled: true, ...(again !== BUSY && { lost: "failure" in again }), findings };
  } finally {
    await other.end();
  }
}

type Prepared = { pid: number } | { failure: string };
const BUSY: Prepared = { failure: "no second backend was free" };

async function backendOf(client: Client): Promise<number> {
  const { rows } = await client.query("select pg_backend_pid() as pid");
  return (rows[0] as { pid: number }).pid;
}

async function prepare(client: Client, statement: { name: string; text: string }): Promise<Prepared> {
  try {
    const { rows } = await client.query(statement);
    return { pid: (rows[0] as { pid: number }).pid };
  } catch (error) {
    // 26000: the backend does not know the statement; 42P05: it knows one of that name already.
    const code = codeOf(error);
    if (code === "26000" || code === "42P05") return { failure: (error as Error).message };
    // No backend is free for it: nothing can be said.
    if (/timeout/i.test((error as Error).message)) return BUSY;
    throw error;
  }
}

function statements(again: Prepared, wanted: boolean): Finding {
  const id = "database.prepare";
  const lost = "failure" in again;
  if (lost && wanted) {
    return {
      id,
      status: "fail",
      text: `Prepared statements get lost in the pooler (${again.failure})`,
      advice: "Set DATABASE_PREPARE=false, or use PgBouncer 1.21 or newer with max_prepared_statements above 0.",
    };
  }
  if (!lost && !wanted) {
    const text = "The pooler keeps prepared statements, and DATABASE_PREPARE is false";
    return { id, status: "ok", text: `${text}: DATABASE_PREPARE=true would save work` };
  }
  return { id, status: "ok", text: lost ? "Statements are not prepared" : "The pooler keeps prepared statements" };
}

/** How often it is looked: another process may take the backend that was to be taken from the first connection. */
const LOOKS = 3;

/**
 * Throws StorageError when prepared statements get lost between here and the database. Costs one connection where it is
 * direct.
 */
export async function refuseLostStatements(open: () => Promise<Client>): Promise<void> {
  const client = await open();
  try {
    for (let look = 1; look <= LOOKS; look++) {
      const { pooled, lost, findings } = await examineStatements(client, { open, prepare: true });
      const failed = findings.find(({ status }) => status === "fail");
      if (lost && failed !== undefined) throw new StorageError(`${failed.text}. ${failed.advice}`);
      if (!pooled || lost === false) return;
    }
  } finally {
    await client.end();
  }
}

/** Whether NOTIFY reaches a connection that listens; it does not through a pooler in transaction mode. */
export async function examineHints(client: Client, open: () => Promise<Client>): Promise<Finding> {
  const id = "database.notify";
  const channel = `fractal_doctor_${process.pid}`;
  const listener = await open();
  try {
    const heard = new Promise<boolean>((resolve) => {
      listener.once("notification", () => resolve(true));
      listener.once("end", () => resolve(false));
    });
    await listener.query(`listen ${channel}`);
    await client.query(`notify ${channel}`);
    if (await within(heard, HINT_MS)) return { id, status: "ok", text: "LISTEN and NOTIFY work" };
  } catch (error) {
    return { id, status: "warn", text: `LISTEN or NOTIFY is refused: ${(error as Error).message}`, advice: POLLING };
  } finally {
    await listener.end();
  }
  return { id, status: "warn", text: "A NOTIFY does not reach a connection that listens", advice: POLLING };
}

const POLLING =
  "Other processes notice new runs up to a second later. Use a direct connection or session mode, or set REDIS_URI.";

async function within(answer: Promise<boolean>, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, ms, false);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
