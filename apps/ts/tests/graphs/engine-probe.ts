// Run by engines.test.ts on each engine: loads the graphs of a folder and prints what became of them as one JSON line.
import type { GraphAccess } from "#core/graphs/registry";
import { openProject } from "./project.ts";

const RUN: GraphAccess = { accessContext: "threads.create_run", config: { configurable: {} } };
const folder = process.argv[2];
if (folder === undefined) throw new Error("usage: engine-probe.ts <folder>");

const { registry } = await openProject(folder);
const graphs: Record<string, unknown> = {};
for (const { id, error } of registry.list()) {
  if (error !== undefined) {
    graphs[id] = { error };
    continue;
  }
  // biome-ignore lint/suspicious/noExplicitAny: whatever the project exports
  const graph = (await registry.build(id, RUN)) as any;
  const { Command, serde } = registry.toolkit(id);
  graphs[id] = {
    sameCommand: graph.Command === undefined ? undefined : graph.Command === Command,
    sameMessage:
      graph.HumanMessage === undefined
        ? undefined
        : (await reloaded(graph.HumanMessage, serde)) instanceof graph.HumanMessage,
    shared: graph.shared,
    alias: graph.alias,
    answer: graph.ask === undefined ? undefined : await graph.ask(),
    schema: graph.builder === undefined ? undefined : (await registry.schemas(id)).state_schema,
  };
}
process.stdout.write(`${JSON.stringify({ engine: process.versions.bun === undefined ? "node" : "bun", graphs })}\n`);

async function reloaded(
  HumanMessage: new (text: string) => unknown,
  serde: {
    dumpsTyped(value: unknown): Promise<[string, Uint8Array]>;
    loadsTyped(type: string, data: Uint8Array): Promise<unknown>;
  },
): Promise<unknown> {
  const [type, bytes] = await serde.dumpsTyped(new HumanMessage("hi"));
  return serde.loadsTyped(type, bytes);
}
