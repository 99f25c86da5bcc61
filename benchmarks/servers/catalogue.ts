import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Peer, peerFolder } from "./install.ts";
import { peerGraphs, peerNode } from "./peer.ts";
import type { ServerSpec } from "./spawned.ts";

export const BENCHMARKS: string = dirname(dirname(fileURLToPath(import.meta.url)));
export const ROOT: string = dirname(BENCHMARKS);
const GRAPH_DIR = join(BENCHMARKS, "graph");

/** What every server gets: this environment without anybody's tracing, and without settings of a server that runs here. */
function environment(own: Record<string, string>): Record<string, string> {
  const inherited: Record<string, string> = {};
  for (const name of ["PATH", "HOME", "TMPDIR", "LANG"]) {
    const value = process.env[name];
    if (value !== undefined) inherited[name] = value;
  }
  return { ...inherited, LANGSMITH_TRACING: "false", LANGCHAIN_TRACING_V2: "false", ...own };
}

/** Our server as a user starts it: the command of the package, a langgraph.json, every default as it is. */
const ours = (env: Record<string, string>, args: readonly string[] = []) => ({
  command: "node",
  args: [join(ROOT, "apps/ts/bin/fractal.mjs"), "start", ...args],
  cwd: GRAPH_DIR,
  env: environment({ HOST: "127.0.0.1", ...env }),
});

/** With SQLite on disk. */
export const OURS: ServerSpec = {
  id: "ours",
  title: "Fractal Agents Runtime",
  head: "ours",
  endEvent: true,
  settleMs: 0,
  launch: ({ port, dataDir }) => ours({ PORT: String(port), FRACTAL_DATA_DIR: dataDir }),
};

const onPostgres = (id: string, title: string, args: readonly string[] = []): ServerSpec => ({
  id,
  title: `Fractal Agents Runtime, ${title}`,
  head: title,
  endEvent: true,
  settleMs: 0,
  database: true,
  launch: ({ port, databaseUrl }) => ours({ PORT: String(port), DATABASE_URL: databaseUrl }, args),
});

export const OURS_POSTGRES: ServerSpec = onPostgres("ours-pg", "ours on Postgres");
/** Each on its own port, as on two machines: the load is even. */
export const OURS_TWICE: ServerSpec = { ...onPostgres("ours-pg-2", "two of ours"), instances: 2 };
/** On one port, as a user starts it: the system spreads connections by chance. */
export const OURS_WORKERS: ServerSpec = onPostgres("ours-workers", "--workers 2", ["--workers", "2"]);

export const BARE: ServerSpec = {
  id: "bare",
  title: "bare server",
  head: "bare",
  endEvent: true,
  settleMs: 0,
  launch: ({ port }) => ({
    command: process.execPath,
    args: [join(BENCHMARKS, "bare/server.ts")],
    cwd: BENCHMARKS,
    env: environment({ PORT: String(port) }),
  }),
};

/** Its whole-file dump comes three seconds after the last request; its log is turned down, which is in its favour. */
export const PEER: ServerSpec = {
  id: "peer",
  title: "@langchain/langgraph-api 1.5.1",
  head: "langgraph-api",
  endEvent: false,
  settleMs: 3200,
  launch: ({ port, dataDir }) => ({
    command: peerNode(),
    args: [join(BENCHMARKS, "peers/langgraph-api/start.mjs")],
    cwd: join(BENCHMARKS, "peers/langgraph-api"),
    env: environment({
      PORT: String(port),
      BENCH_DATA_DIR: dataDir,
      BENCH_GRAPHS: JSON.stringify(peerGraphs()),
      LOG_LEVEL: "warn",
    }),
  }),
};

/** Upstream's PostgresSaver in our server's place: the bare server with it, from the folder that has its package. */
export const SAVER: ServerSpec = {
  id: "saver",
  title: "PostgresSaver 1.0.5 behind the bare server",
  head: "PostgresSaver",
  endEvent: true,
  settleMs: 0,
  database: true,
  launch: ({ port, databaseUrl }) => ({
    command: process.execPath,
    args: [join(peerFolder("postgres-saver"), "bare/server.ts")],
    cwd: peerFolder("postgres-saver"),
    env: environment({
      PORT: String(port),
      DATABASE_URL: databaseUrl,
      CHECKPOINTER: join(peerFolder("postgres-saver"), "checkpointer.mjs"),
    }),
  }),
};

/** What the rival of `--storage postgres` gets beside its packages. */
export const POSTGRES_SAVER: Peer = {
  name: "postgres-saver",
  size: "70 MB",
  copies: ["bare/server.ts", "bare/wire.ts", "graph/graphs.ts", "graph/script.ts", "graph/scripted-model.ts"],
};
