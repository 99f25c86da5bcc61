import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
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

/** Our server as a user starts it: the command of the package, a langgraph.json, SQLite on disk, every default as it is. */
export const OURS: ServerSpec = {
  id: "ours",
  title: "Fractal Agents Runtime",
  endEvent: true,
  settleMs: 0,
  launch: ({ port, dataDir }) => ({
    command: "node",
    args: [join(ROOT, "apps/ts/bin/fractal.mjs"), "start"],
    cwd: GRAPH_DIR,
    env: environment({ HOST: "127.0.0.1", PORT: String(port), FRACTAL_DATA_DIR: dataDir }),
  }),
};

export const BARE: ServerSpec = {
  id: "bare",
  title: "bare server",
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

export const SERVERS: readonly ServerSpec[] = [OURS, BARE, PEER];
