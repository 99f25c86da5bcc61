import { describe, expect, it } from "bun:test";
import { Client } from "@langchain/langgraph-sdk";
import { dataOf, names, SdkSession } from "../sdk-session.ts";
import type { EngineName } from "../spawn-server.ts";

/** A project as LangGraph.js documents one, served unchanged by `fractal dev`. */
export function projectSuite(engine: EngineName): void {
  describe(`a langgraph.json project under \`fractal dev\` on ${engine}`, () => {
    const line = { name: "langgraph-sdk 1.15.0", Client };
    const session = new SdkSession(line, { engine, project: "project", command: "dev" });

    it("serves every graph, and says why one cannot run", async () => {
      const found = await session.client.assistants.search({ metadata: { created_by: "system" }, limit: 100 });
      expect(found.map(({ graph_id }) => graph_id).sort()).toEqual(
        ["approval", "broken", "chatbot", "greeter", "joke", "progress", "research", "support"].sort(),
      );
      expect(session.server.logs()).toContain("a-package-that-is-not-installed");
      await expect(session.wait(null, "broken", { input: {} })).rejects.toThrow("a-package-that-is-not-installed");
    });

    it("answers a message", async () => {
      const { messages } = await session.wait(null, "chatbot", { input: { messages: ["hello"] } });
      expect((messages as { content: string }[]).map(({ content }) => content)).toEqual(["hello", "You said: hello"]);
    });

    it("gives a factory its configuration, context, environment and purpose", async () => {
      const input = { name: "Ada" };
      expect((await session.wait(null, "greeter", { input })).greeting).toMatch(/, Ada \(plain, threads.create_run\)$/);
      const config = { configurable: { language: "de" } };
      expect((await session.wait(null, "greeter", { input, config })).greeting).toStartWith("Guten Morgen, Ada");
      const context = { mood: "merry" };
      expect((await session.wait(null, "greeter", { input, context })).greeting).toContain("(merry, ");
    });

    it("compiles a builder and hands it its context", async () => {
      const input = { topic: "tea" };
      expect((await session.wait(null, "joke", { input, context: { style: "silly" } })).joke).toBe(
        "A silly joke about tea",
      );
    });

    it("runs subgraphs, fan-outs and custom events", async () => {
      expect((await session.wait(null, "support", { input: { question: "Where is order 17?" } })).answer).toContain(
        "17",
      );
      expect((await session.wait(null, "research", { input: { topics: ["b", "a"] } })).report).toBe(
        "note on a; note on b",
      );
      const parts = await session.stream(null, "progress", { input: { query: "x" }, streamMode: ["custom", "values"] });
      expect(dataOf(parts, "custom")).toEqual([
        { custom_key: "Retrieved 0/2 records" },
        { custom_key: "Retrieved 2/2 records" },
      ]);
      expect(names(parts).at(-1)).toBe("end");
    });

    it("waits for a person, who may edit", async () => {
      const id = await session.thread();
      const asked = await session.wait(id, "approval", { input: { draft: "Dear all" } });
      expect(asked.__interrupt__).toMatchObject([{ value: { question: "Send this?", draft: "Dear all" } }]);
      const resume = { approved: true, edit: "Dear friends" };
      expect(await session.wait(id, "approval", { command: { resume } })).toMatchObject({
        draft: "Dear friends",
        sent: true,
      });
    });
  });
}
