import { describe, expect, it } from "bun:test";
import type { SdkSession } from "../sdk-session.ts";

export function assistantsSuite(session: SdkSession): void {
  describe("assistants", () => {
    const team = `team of ${session.line.name} on ${session.engine}`;

    it("finds the system assistant of every graph by the graph's id", async () => {
      const { client } = session;
      const [system] = await client.assistants.search({ graphId: "counter", metadata: { created_by: "system" } });
      expect(system).toMatchObject({ name: "counter", version: 1 });
      expect((await client.assistants.get("counter")).assistant_id).toBe(system?.assistant_id as string);
    });

    it("creates, updates, versions and deletes", async () => {
      const { assistants } = session.client;
      const made = await assistants.create({ graphId: "counter", name: "Counts", metadata: { team } });
      expect(made).toMatchObject({ graph_id: "counter", name: "Counts", version: 1, metadata: { team } });
      const changed = await assistants.update(made.assistant_id, { config: { tags: ["two"] }, name: "Counts on" });
      expect(changed).toMatchObject({ version: 2, name: "Counts on", config: { tags: ["two"] }, metadata: { team } });
      expect((await assistants.getVersions(made.assistant_id)).map(({ version }) => version)).toEqual([2, 1]);
      const restored = await assistants.setLatest(made.assistant_id, 1);
      expect([restored.name, restored.config.tags]).toEqual(["Counts", undefined]);
      expect(await assistants.get(made.assistant_id)).toMatchObject({ name: "Counts" });
      await assistants.delete(made.assistant_id);
      await expect(assistants.get(made.assistant_id)).rejects.toThrow("404");
    });

    it("keeps the first of two assistants with one id, or says that there is one", async () => {
      const { assistants } = session.client;
      const { assistant_id: assistantId } = await assistants.create({ graphId: "counter", name: "first" });
      const again = { graphId: "counter", name: "second", assistantId };
      await expect(assistants.create(again)).rejects.toThrow("409");
      expect((await assistants.create({ ...again, ifExists: "do_nothing" })).name).toBe("first");
    });

    it("searches page by page, sorted, and counts", async () => {
      const { assistants } = session.client;
      const metadata = { pages: team };
      for (const name of ["Alpha 50%", "Beta_50", "Gamma"]) {
        await assistants.create({ graphId: "counter", name, metadata });
      }
      const sorted = { metadata, sortBy: "name", sortOrder: "asc", limit: 2 } as const;
      const first = await assistants.search({ ...sorted, includePagination: true });
      expect([first.assistants.map(({ name }) => name), first.next]).toEqual([["Alpha 50%", "Beta_50"], "2"]);
      const last = await assistants.search({ ...sorted, offset: 2, includePagination: true });
      expect([last.assistants.map(({ name }) => name), last.next]).toEqual([["Gamma"], null]);
      expect(await assistants.count({ metadata })).toBe(3);
      expect(await assistants.count({ metadata, name: "50%" } as never)).toBe(1);
    });

    it("describes its graph, the graph's schemas and its subgraphs", async () => {
      const { assistants } = session.client;
      const flat = await assistants.getGraph("subgraphs");
      expect(flat.nodes.map(({ id }) => id)).toEqual(expect.arrayContaining(["__start__", "before", "child", "after"]));
      expect(flat.edges).toContainEqual(expect.objectContaining({ source: "before", target: "child" }));
      const deep = await assistants.getGraph("subgraphs", { xray: true });
      expect(deep.nodes.map(({ id }) => id)).toContain("child:enter");
      const schemas = await assistants.getSchemas("counter");
      expect(schemas.graph_id).toBe("counter");
      expect(Object.keys(schemas.state_schema?.properties ?? {})).toEqual(expect.arrayContaining(["steps", "count"]));
      const children = await assistants.getSubgraphs("subgraphs", { recurse: true });
      expect(Object.keys(children).sort()).toEqual(["child", "child|grandchild"]);
      expect(Object.keys(await assistants.getSubgraphs("subgraphs", { namespace: "child" }))).toEqual(["child"]);
    });

    it("runs an assistant with the configuration of its own", async () => {
      const { client } = session;
      const { assistant_id } = await client.assistants.create({ graphId: "counter", config: { recursion_limit: 3 } });
      await expect(session.wait(null, assistant_id, { input: { steps: 9 } })).rejects.toThrow("GraphRecursionError");
      const config = { recursion_limit: 20 };
      expect((await session.wait(null, assistant_id, { input: { steps: 9 }, config })).count).toBe(9);
      await expect(session.wait(null, "no-such-graph", { input: {} })).rejects.toThrow("No assistant found for");
    });
  });
}
