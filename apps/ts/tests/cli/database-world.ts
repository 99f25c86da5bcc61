import { createServer } from "node:net";
import { createAnsi } from "@fractal-agents/infra/ansi";
import { Client } from "pg";
import type { Finding } from "#core/diagnosis";
import { doctorCommand } from "../../src/compose/doctor.ts";
import { migrateCommand } from "../../src/compose/migrate.ts";

type Env = Record<string, string>;

/** A terminal that keeps what it is told. */
export function createPaper() {
  const paper = { out: "", err: "" };
  const terminal = {
    out: (text: string) => {
      paper.out += text;
    },
    err: (text: string) => {
      paper.err += text;
    },
    interactive: false,
    ansi: createAnsi(false),
  };
  return { paper, terminal };
}

export async function runMigrate(env: Env, cwd: string) {
  const { paper, terminal } = createPaper();
  const code = await migrateCommand({ configPath: undefined }, { env, cwd, terminal });
  return { code, ...paper };
}

/** @returns The findings by id, and the exit code. */
export async function runDoctor(env: Env, cwd: string) {
  const { paper, terminal } = createPaper();
  const host = { env: { MODEL_NAME: "fake:demo", ...env }, cwd, terminal, version: "0.0.0", adopt: () => undefined };
  const code = await doctorCommand({ configPath: undefined, json: true }, host);
  const { ok, checks } = JSON.parse(paper.out) as { ok: boolean; checks: Finding[] };
  const bad = checks.filter(({ status }) => status !== "ok").map(({ id, status }) => `${status} ${id}`);
  return { code, ok, checks, bad, at: (id: string) => checks.find((check) => check.id === id) };
}

/** Statements of the administrator, one by one. @returns The rows of the last. */
export async function sql(url: string, ...texts: string[]): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    let rows: unknown[] = [];
    for (const text of texts) rows = (await client.query(text)).rows;
    return rows;
  } finally {
    await client.end();
  }
}

/** The same server and database for somebody else, or another database. */
export function urlFor(url: string, change: { user?: string; password?: string; database?: string }): string {
  const changed = new URL(url);
  if (change.user !== undefined) changed.username = change.user;
  if (change.password !== undefined) changed.password = change.password;
  if (change.database !== undefined) changed.pathname = `/${change.database}`;
  return changed.href;
}

/** One that nobody listens on. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
