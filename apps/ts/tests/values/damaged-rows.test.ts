import { afterEach, beforeEach, describe, expect, it } from "bun:test";
import { join } from "node:path";
import { RunServer, type Thread } from "../runs/server.ts";
import { type Damageable, openDamageable } from "./damage.ts";

const project = join(import.meta.dir, "fixtures", "langgraph.json");
const hex = (text: string) => `x'${Buffer.from(text).toString("hex")}'`;

/** What may become of a row; `?` is the checkpoint's id. */
const DAMAGE: Record<string, string> = {
  "its small values": "update checkpoints set inline = x'ff00000000' where checkpoint_id = '?'",
  "its own text": "update checkpoints set checkpoint = '{\"v\":' where checkpoint_id = '?'",
  "its metadata": "update checkpoints set metadata = 'gone' where checkpoint_id = '?'",
  "a large value that is no JSON": `update checkpoint_blobs set value = ${hex('{"a":')} where version like '%?'`,
  "a large value of an unknown kind": "update checkpoint_blobs set type = 'pickle' where version like '%?'",
  "a large value that is gone": "delete from checkpoint_blobs where version like '%?'",
};

describe("a checkpoint that is damaged", () => {
  let damageable: Damageable;
  let server: RunServer;
  beforeEach(async () => {
    damageable = await openDamageable();
    server = await RunServer.start({}, project, { storage: damageable.storage });
  });
  afterEach(async () => {
    await server[Symbol.asyncDispose]();
    await damageable[Symbol.asyncDispose]();
  });

  const large = (name: string) => ({ name, padding: "x".repeat(2_000) });
  const path = (thread: Thread) => `/threads/${thread.id}`;

  /** Two state writes, each of which stores a large value; newest first. States that were shown before are remembered. */
  async function written(): Promise<{ thread: Thread; ids: string[] }> {
    const thread = await server.thread({ metadata: { graph_id: "channels" } });
    const ids: string[] = [];
    for (const name of ["first", "second"]) {
      const values = { data: large(name), sum: 1 };
      const { body } = await server.post(`${path(thread)}/state`, { values, as_node: "second" });
      ids.unshift(body.checkpoint_id);
    }
    return { thread, ids };
  }

  for (const [what, sql] of Object.entries(DAMAGE)) {
    it(`hides no other one, is shown with its error, and can be forked around: ${what}`, async () => {
      const { thread, ids } = await written();
      const [, old] = ids as [string, string];
      await damageable.change(sql.replace("?", old));
      const history = await server.get(`${path(thread)}/history`);
      expect(history.status).toBe(200);
      expect(history.body.length).toBe(2);
      const [head, bad] = history.body;
      expect([head.values.data.name, head.tasks]).toEqual(["second", []]);
      expect(bad.checkpoint.checkpoint_id).toBe(old);
      expect(bad.tasks.at(-1)).toMatchObject({ error: expect.stringMatching(/read|missing/), interrupts: [] });
      const alone = await server.get(`${path(thread)}/state/${old}`);
      expect([alone.status, alone.body]).toEqual([200, bad]);
      expect(server.log.join("")).toContain(old);
      const run = await server.post(`${thread.runs}/wait`, { assistant_id: "channels", input: { sum: 5 } });
      expect(run.body.sum).toBe(7);
      const fork = { assistant_id: "channels", input: { sum: 1 }, checkpoint: { checkpoint_id: ids[0] } };
      expect((await server.post(`${thread.runs}/wait`, fork)).body.sum).toBe(3);
    });

    it(`is read, written over, copied, pruned and deleted where it is the newest: ${what}`, async () => {
      const { thread, ids } = await written();
      await damageable.change(sql.replace("?", ids[0] as string));
      const state = await server.get(`${path(thread)}/state`);
      expect(state.status).toBe(200);
      expect(state.body.checkpoint.checkpoint_id).toBe(ids[0]);
      expect(state.body.tasks.at(-1).error).toBeString();
      const copy = await server.post(`${path(thread)}/copy`);
      expect(copy.status).toBe(200);
      expect((await server.get(`/threads/${copy.body.thread_id}/state`)).status).toBe(200);
      const pruned = await server.post("/threads/prune", {
        thread_ids: [copy.body.thread_id],
        strategy: "keep_latest",
      });
      expect(pruned.status).toBe(200);
      expect((await server.call("DELETE", `/threads/${copy.body.thread_id}`)).status).toBe(204);
      const values = { data: large("repaired"), sum: 1 };
      const repair = await server.post(`${path(thread)}/state`, { values, as_node: "second" });
      expect([repair.status, repair.text]).toEqual([200, expect.any(String)]);
      const repaired = await server.get(`${path(thread)}/state`);
      expect([repaired.body.values.data.name, repaired.body.tasks]).toEqual(["repaired", []]);
      const run = await server.post(`${thread.runs}/wait`, { assistant_id: "channels", input: { data: 7 } });
      expect(run.body.data).toBe(7);
      expect((await server.get(`${path(thread)}/history`)).status).toBe(200);
      expect((await server.call("DELETE", path(thread))).status).toBe(204);
    });
  }
});
