import { describe, expect, it } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ours from "@langchain/langgraph";
import { bindGraph } from "#core/graphs/bind";
import type { GraphAccess } from "#core/graphs/registry";
import manifest from "../../package.json" with { type: "json" };
import { RunServer } from "../runs/server.ts";
import { dataOf } from "../runs/sse-client.ts";
import { openProject, probe } from "./project.ts";

interface Copy {
  langgraph: string;
  core: string;
  checkpoint: string;
  zod: string;
  drains: boolean;
  /** Whether `values` say where it stopped. Copies that do not are too old for a MemorySaver of ours. */
  showsInterrupts: boolean;
  modes: string[];
}

const LATER = { zod: "4.6.7", showsInterrupts: true };
const MODES = ["values", "updates", "messages", "custom", "tasks", "checkpoints", "debug"];

/** Users bring their own langgraph. These are the ends and the middle of the range that is supported. */
const COPIES: Copy[] = [
  {
    langgraph: "0.2.74",
    core: "0.3.80",
    checkpoint: "0.0.18",
    zod: "3.25.76",
    drains: false,
    showsInterrupts: false,
    modes: ["values", "updates", "messages", "custom", "debug"],
  },
  { langgraph: "1.1.5", core: "1.1.16", checkpoint: "1.0.0", drains: false, modes: MODES, ...LATER },
  { langgraph: "1.3.0", core: "1.1.44", checkpoint: "1.0.2", drains: false, modes: MODES, ...LATER },
  { langgraph: "1.7.3", core: "1.4.0", checkpoint: "1.2.2", drains: true, modes: MODES, ...LATER },
];
const RUN: GraphAccess = { accessContext: "threads.create_run", config: { configurable: {} } };

const AGENT = `
import { AIMessage, HumanMessage } from "@langchain/core/messages";
import { Annotation, Command, MessagesAnnotation, StateGraph, interrupt } from "@langchain/langgraph";
const State = Annotation.Root({ ...MessagesAnnotation.spec, seen: Annotation() });
const inner = new StateGraph(State)
  .addNode("ask", async (state) => ({ messages: [new AIMessage("answer " + interrupt("which?"))], seen: state.messages.every((m) => m instanceof HumanMessage) }))
  .addEdge("__start__", "ask").compile();
const graph = new StateGraph(State)
  .addNode("inner", inner)
  .addNode("after", async (state, config) => { config.writer?.({ step: "after" }); return {}; })
  .addEdge("__start__", "inner").addEdge("inner", "after").compile();
Object.assign(graph, { Command, HumanMessage });
export { graph };
`;
const ZOD = `
import { StateGraph } from "@langchain/langgraph";
import { z } from "zod";
export const graph = new StateGraph(z.object({ topic: z.string(), n: z.number().default(1) }))
  .addNode("a", async () => ({ n: 2 })).addEdge("__start__", "a").compile();
`;

const node = process.env.FRACTAL_TEST_NODE;

/** The installed project, or why there is none. Kept between runs of the suite: the versions are pinned. */
function install(copy: Copy): { folder: string } | { missing: string } {
  const folder = join(tmpdir(), "fractal-test-langgraph-copies", copy.langgraph);
  if (existsSync(join(folder, "complete"))) return { folder };
  mkdirSync(folder, { recursive: true });
  const dependencies = {
    "@langchain/langgraph": copy.langgraph,
    "@langchain/core": copy.core,
    "@langchain/langgraph-checkpoint": copy.checkpoint,
    zod: copy.zod,
  };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module", dependencies }));
  const args = ["install", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1", "--legacy-peer-deps"];
  const npm = spawnSync("npm", args, { cwd: folder, timeout: 180_000, encoding: "utf8" });
  if (npm.status !== 0) return { missing: (npm.stderr || String(npm.error)).split("\n")[0] ?? "npm failed" };
  writeFileSync(join(folder, "complete"), "");
  return { folder };
}

it("the first and the last of these copies are the ends of what the package promises", () => {
  const promised = manifest.peerDependencies["@langchain/langgraph"];
  expect(promised).toBe(`>=${COPIES[0]?.langgraph} <2`);
  expect(COPIES.at(-1)?.langgraph).toBe(manifest.dependencies["@langchain/langgraph"]);
});

for (const copy of COPIES) {
  const installed = install(copy);
  const reason = "missing" in installed ? ` (not installed: ${installed.missing})` : "";
  describe.skipIf("missing" in installed)(`a project with its own langgraph ${copy.langgraph}${reason}`, () => {
    /** A folder per test: engines cache what they import by path. */
    const open = async () => {
      const folder = await mkdtemp(join(tmpdir(), "fractal-copy-"));
      if ("folder" in installed)
        await symlink(join(installed.folder, "node_modules"), join(folder, "node_modules"), "dir");
      writeFileSync(join(folder, "agent.ts"), AGENT);
      writeFileSync(join(folder, "zod.ts"), ZOD);
      writeFileSync(
        join(folder, "langgraph.json"),
        JSON.stringify({ graphs: { agent: "./agent.ts:graph", zod: "./zod.ts:graph" } }),
      );
      const { registry } = await openProject(folder);
      return { folder, registry, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
    };

    it("is loaded with the toolkit of that copy", async () => {
      await using project = await open();
      const { registry } = project;
      expect(registry.list().map(({ error }) => error)).toEqual([undefined, undefined]);
      // biome-ignore lint/suspicious/noExplicitAny: classes of another copy
      const graph = (await registry.build("agent", RUN)) as any;
      const toolkit = registry.toolkit("agent");
      expect(toolkit.Command).toBe(graph.Command);
      expect(toolkit.Command).not.toBe(ours.Command as never);
      expect(toolkit.RunControl !== undefined).toBe(copy.drains);
      expect(toolkit.isGraphDrained !== undefined).toBe(copy.drains);
      expect(toolkit.showsInterrupts).toBe(copy.showsInterrupts);
      const [type, bytes] = await toolkit.serde.dumpsTyped([new graph.HumanMessage("hi")]);
      expect(((await toolkit.serde.loadsTyped(type, bytes)) as unknown[])[0]).toBeInstanceOf(graph.HumanMessage);
    });

    it.skipIf(node === undefined)(
      "is loaded with the toolkit of that copy on Node too (FRACTAL_TEST_NODE)",
      async () => {
        await using project = await open();
        const { engine, graphs } = await probe(node ?? "", project.folder);
        expect(engine).toBe("node");
        expect(graphs.agent).toMatchObject({ sameCommand: true, sameMessage: true });
        expect(graphs.zod?.error).toBeUndefined();
      },
    );

    it.skipIf(!copy.showsInterrupts)(
      "streams every mode with subgraphs, stops at an interrupt and is resumed, on a saver of our copy",
      async () => {
        await using project = await open();
        const { registry } = project;
        const toolkit = registry.toolkit("agent");
        const saver = new ours.MemorySaver(toolkit.serde as never);
        const graph = bindGraph(await registry.build("agent", RUN), { checkpointer: saver });
        const streamMode = MODES;
        const config = { configurable: { thread_id: "t" }, streamMode, subgraphs: true };
        const modes = new Set<string>();
        const namespaces = new Set<number>();
        const pull = async (input: unknown) => {
          for await (const [namespace, mode] of await graph.stream(input, config)) {
            modes.add(mode);
            namespaces.add(namespace.length);
          }
        };
        await pull({ messages: [{ role: "user", content: "hi" }] });
        expect((await graph.getState({ configurable: { thread_id: "t" } })).next).toEqual(["inner"]);
        await pull(new toolkit.Command({ resume: "blue" }));
        const { values, next } = await graph.getState({ configurable: { thread_id: "t" } });
        expect(next).toEqual([]);
        expect(values.messages.at(-1).content).toBe("answer blue");
        // Their own instanceof holds for what was stored and read back in between.
        expect(values.seen).toBe(true);
        expect([...modes].sort()).toEqual([...streamMode].sort());
        expect(namespaces).toContain(0);
        expect(namespaces).toContain(1);
      },
    );

    it("is served: a run that stops at a question says so, in wait, in values and on the thread, and is answered", async () => {
      await using project = await open();
      await using server = await RunServer.start({}, join(project.folder, "langgraph.json"));
      const input = { messages: [{ role: "user", content: "hi" }] };
      const body = { assistant_id: "agent", input };
      const asked = [expect.objectContaining({ value: "which?" })];
      const whole = { messages: [expect.objectContaining({ content: "hi" })], __interrupt__: asked };
      expect((await server.post("/runs/wait", body)).body).toEqual(expect.objectContaining(whole));
      const thread = await server.thread();
      expect((await server.post(`${thread.runs}/wait`, body)).body).toEqual(expect.objectContaining(whole));
      const { status, interrupts } = (await server.get(`/threads/${thread.id}`)).body;
      expect([status, Object.values(interrupts).flat()]).toEqual(["interrupted", asked]);
      const stream_mode = [...MODES, "messages-tuple"];
      const answer = { ...body, input: null, command: { resume: "blue" }, stream_mode };
      const answered = await server.stream(thread.runs, answer);
      const { messages, seen } = dataOf(answered, "values").at(-1);
      expect(messages.at(-1).content).toBe("answer blue");
      // Their own instanceof holds for what was stored and read back in between.
      expect(seen).toBe(true);
      expect(new Set(answered.slice(1, -1).map(({ event }) => event))).toEqual(new Set(copy.modes));
      expect((await server.get(`/threads/${thread.id}`)).body.status).toBe("idle");
      const { runs } = await server.thread();
      const events = await server.stream(runs, { ...body, stream_mode: ["values", "updates", "events"] });
      expect(dataOf(events, "values").at(-1)).toEqual(expect.objectContaining(whole));
      expect(dataOf(events, "updates").at(-1)).toEqual({ __interrupt__: asked });
      expect(dataOf(events, "events").find(({ name }) => name === "ask").parent_ids).toHaveLength(3);
    });

    it("stops at a breakpoint, and the thread says so", async () => {
      await using project = await open();
      await using server = await RunServer.start({}, join(project.folder, "langgraph.json"));
      const thread = await server.thread();
      const body = { assistant_id: "agent", input: { messages: [] }, interrupt_before: ["inner"] };
      expect((await server.post(`${thread.runs}/wait`, body)).body.__interrupt__).toBeUndefined();
      expect((await server.get(`/threads/${thread.id}`)).body.status).toBe("interrupted");
    });

    it("has schemas, subgraphs and a drawing", async () => {
      await using project = await open();
      const { registry } = project;
      expect((await registry.schemas("zod")).input_schema?.properties).toMatchObject({ topic: { type: "string" } });
      expect((await registry.schemas("agent")).state_schema?.properties).toMatchObject({
        messages: { type: "array", langgraph_type: "messages" },
      });
      expect(Object.keys(await registry.subgraphs("agent", { recurse: true }))).toEqual(["inner"]);
      const { nodes } = (await registry.drawing("agent", true)) as { nodes: { id: string }[] };
      expect(nodes.map(({ id }) => id)).toContain("after");
    });
  });
}
