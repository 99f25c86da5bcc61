import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { join } from "node:path";
import { RunServer } from "../runs/server.ts";

/** What a reducer of the graph throws at. */
const REFUSED = {
  "a role that is a number": { messages: [{ role: 5, content: "x" }] },
  "the removal of an unknown message": { messages: [{ type: "remove", id: "nope" }] },
  "an object that is no message": { messages: [{ lc: 1, type: "constructor", id: ["my", "Thing"], kwargs: {} }] },
  "a list in place of a message": { messages: [[1]] },
  "a reducer of the graph's own": { sum: "x" },
};

describe("a run that fails on its input", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start({}, join(import.meta.dir, "fixtures", "langgraph.json"));
  });
  afterAll(() => server[Symbol.asyncDispose]());

  for (const graph of ["channels", "deltas"]) {
    for (const [what, values] of Object.entries(REFUSED)) {
      if (graph === "deltas" && what.startsWith("the removal")) continue;
      for (const door of ["input", "update"]) {
        it(`leaves a thread of "${graph}" that is read, copied, written and run: ${what} as ${door}`, async () => {
          const thread = await server.thread();
          const at = `/threads/${thread.id}`;
          const run = async (sent: object) =>
            (await server.post(`${thread.runs}/wait`, { assistant_id: graph, ...sent })).body;
          expect((await run({ input: { data: 1, sum: 1, messages: [{ role: "user", content: "hi" }] } })).sum).toBe(1);
          const { __error__: error } = await run(
            door === "input" ? { input: values } : { command: { update: values } },
          );
          expect(error.message).toBeString();

          const state = await server.get(`${at}/state`);
          expect([state.status, state.body.values?.data, state.body.values?.messages?.length]).toEqual([200, 1, 1]);
          expect(state.body.tasks.map((task: { error: string }) => task.error)).toEqual([error.message]);
          const history = await server.get(`${at}/history`);
          expect(history.status).toBe(200);
          expect(history.body.at(-1).metadata.step).toBe(-1);
          const { body: copy } = await server.post(`${at}/copy`);
          const copied = await server.get(`/threads/${copy.thread_id}/state`);
          expect([copied.status, copied.body.values]).toEqual([200, state.body.values]);

          // A delta channel makes its value from all that was ever written to it, what it refuses among that.
          if (graph === "deltas" && "messages" in values) return;
          const written = await server.post(`/threads/${copy.thread_id}/state`, {
            values: { data: 2 },
            as_node: "second",
          });
          expect([written.status, written.text]).toEqual([200, expect.any(String)]);
          const after = await server.get(`/threads/${copy.thread_id}/state`);
          expect([after.body.values.data, after.body.tasks]).toEqual([2, []]);

          const next = await run({ input: { data: 3, sum: 2, messages: [{ role: "user", content: "again" }] } });
          expect([next.data, next.sum, next.messages?.length, next.__error__]).toEqual([3, 3, 2, undefined]);
          const last = await server.get(`${at}/state`);
          expect([last.body.values.sum, last.body.tasks]).toEqual([3, []]);
          expect((await server.get(`${at}/history`)).status).toBe(200);
        });
      }

      it(`refuses it as a state write, and nothing of it stays with a thread of "${graph}": ${what}`, async () => {
        const thread = await server.thread();
        const start = { assistant_id: graph, input: { data: 1, sum: 1 } };
        expect((await server.post(`${thread.runs}/wait`, start)).body.sum).toBe(1);
        const refused = await server.post(`/threads/${thread.id}/state`, { values, as_node: "second" });
        expect([refused.status, refused.body.detail]).toEqual([400, expect.stringContaining("The update was refused")]);
        const next = await server.post(`${thread.runs}/wait`, { assistant_id: graph, input: { sum: 2 } });
        expect([next.body.sum, next.body.__error__]).toEqual([3, undefined]);
        const state = await server.get(`/threads/${thread.id}/state`);
        expect([state.status, state.body.values.sum, state.body.tasks]).toEqual([200, 3, []]);
      });
    }
  }

  it("goes on where an update names what every object has: a channel called constructor", async () => {
    const thread = await server.thread();
    for (const key of ["constructor", "toString", "hasOwnProperty"]) {
      for (const sent of [{ input: { [key]: 1, data: 1 } }, { command: { update: { [key]: 1 } } }]) {
        await server.post(`${thread.runs}/wait`, { assistant_id: "channels", ...sent });
        expect((await server.get(`/threads/${thread.id}/state`)).body.values.data).toBe(1);
        expect((await server.get(`/threads/${thread.id}/history`)).status).toBe(200);
      }
      const next = await server.post(`${thread.runs}/wait`, { assistant_id: "channels", input: { data: 1 } });
      expect(next.body.data).toBe(1);
    }
  });
});
