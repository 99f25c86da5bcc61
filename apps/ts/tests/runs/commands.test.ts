import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { RunServer, type Thread } from "./server.ts";
import { dataOf } from "./sse-client.ts";

describe("interrupts, commands and breakpoints", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  async function wait(thread: Thread, body: object) {
    const reply = await server.post(`${thread.runs}/wait`, body);
    expect(reply.status).toBe(200);
    return reply.body;
  }

  /** A thread on which a graph has stopped. */
  async function stopped(graph: string): Promise<{ thread: Thread; asked: { id: string; value: string }[] }> {
    const thread = await server.thread();
    const body = await wait(thread, { assistant_id: graph, input: {} });
    return { thread, asked: body.__interrupt__ };
  }

  const shown = async (thread: Thread) => (await server.get(`/threads/${thread.id}`)).body;

  describe("resume", () => {
    it("answers one question after the other by value", async () => {
      const { thread, asked } = await stopped("interrupting");
      expect(asked).toMatchObject([{ value: "name?", id: expect.stringMatching(/^[0-9a-f]{32}$/) }]);
      const next = await wait(thread, { assistant_id: "interrupting", command: { resume: "Ann" } });
      expect(next.__interrupt__).toMatchObject([{ value: "age?" }]);
      const last = await wait(thread, { assistant_id: "interrupting", command: { resume: 7 } });
      expect(last).toEqual({ name: "Ann", age: 7, greeting: "Ann is 7" });
      expect(await shown(thread)).toMatchObject({ status: "idle", interrupts: {} });
    });

    it("takes falsy answers as answers", async () => {
      for (const [answer, greeting] of [
        [0, "0 is 5"],
        ["", " is 5"],
        [false, "false is 5"],
      ] as const) {
        const { thread } = await stopped("interrupting");
        await wait(thread, { assistant_id: "interrupting", command: { resume: answer } });
        const last = await wait(thread, { assistant_id: "interrupting", command: { resume: 5 } });
        expect(last.greeting).toBe(greeting);
      }
    });

    it("takes null as an answer when the key is there, and absence as none", async () => {
      const { thread } = await stopped("interrupting");
      const next = await wait(thread, { assistant_id: "interrupting", command: { resume: null } });
      expect(next.__interrupt__).toMatchObject([{ value: "age?" }]);
      const last = await wait(thread, { assistant_id: "interrupting", command: { resume: null } });
      expect(last.greeting).toBe("null is null");
      expect((await shown(thread)).status).toBe("idle");
    });

    it("answers the first of several interrupts with a bare null, as with any bare value", async () => {
      const { thread } = await stopped("interrupting_parallel");
      const next = await wait(thread, { assistant_id: "interrupting_parallel", command: { resume: null } });
      expect(next.__interrupt__).toMatchObject([{ value: "right?" }]);
    });

    it("fails a null that answers nothing, in words, and leaves the thread as it was", async () => {
      const thread = await server.thread();
      await wait(thread, { assistant_id: "breakpoints", input: {} });
      const before = await server.get(`/threads/${thread.id}/state`);
      const failed = await wait(thread, { assistant_id: "breakpoints", command: { resume: null } });
      expect(failed.__error__).toEqual({
        error: "UnknownInterruptError",
        message: "There is no pending interrupt to resume with null",
      });
      expect((await server.get(`/threads/${thread.id}/state`)).body).toEqual(before.body);
    });

    it("answers two subgraphs down", async () => {
      const { thread, asked } = await stopped("subgraphs");
      expect(asked).toMatchObject([{ value: "approve?" }]);
      const last = await wait(thread, { assistant_id: "subgraphs", command: { resume: null } });
      expect(last.trail).toEqual(["before", "child", "approved:null", "after"]);
    });

    it("answers several by their ids, all or some", async () => {
      const { thread, asked } = await stopped("interrupting_parallel");
      expect(asked.map(({ value }) => value)).toEqual(["left?", "right?"]);
      const [left, right] = asked as unknown as [{ id: string }, { id: string }];
      const next = await wait(thread, {
        assistant_id: "interrupting_parallel",
        command: { resume: { [right.id]: "R" } },
      });
      expect(next.__interrupt__).toMatchObject([{ value: "left?" }]);
      const last = await wait(thread, {
        assistant_id: "interrupting_parallel",
        command: { resume: { [left.id]: "L" } },
      });
      expect(last.answers).toEqual(["left=L", "right=R", "joined"]);
    });
  });

  describe("strict_resume", () => {
    const unknown = "0123456789abcdef0123456789abcdef";

    it("fails a resume that names an interrupt which is not pending, and leaves the thread as it was", async () => {
      const { thread } = await stopped("interrupting");
      const before = await server.get(`/threads/${thread.id}/state`);
      const command = { resume: { [unknown]: "x" } };
      const failed = await wait(thread, { assistant_id: "interrupting", command, strict_resume: true });
      expect(failed.__error__.error).toBe("UnknownInterruptError");
      const after = await server.get(`/threads/${thread.id}/state`);
      expect(after.body).toEqual(before.body);
      expect(Object.values((await shown(thread)).interrupts).flat()).toMatchObject([{ value: "name?" }]);
      const [run] = (await server.get(thread.runs)).body;
      expect(run.status).toBe("error");
      const next = await wait(thread, {
        assistant_id: "interrupting",
        command: { resume: "Ann" },
        strict_resume: true,
      });
      expect(next.__interrupt__).toMatchObject([{ value: "age?" }]);
    });

    it("fails one bare value for several interrupts, null too", async () => {
      for (const resume of ["x", null]) {
        const { thread } = await stopped("interrupting_parallel");
        const body = { assistant_id: "interrupting_parallel", command: { resume }, strict_resume: true };
        expect((await wait(thread, body)).__error__.error).toBe("UnknownInterruptError");
      }
    });
  });

  describe("update and goto", () => {
    it("update as an object and as pairs, wins over input", async () => {
      const thread = await server.thread();
      await wait(thread, { assistant_id: "breakpoints", input: {}, interrupt_before: ["b"] });
      const command = { update: { path: ["u"] }, goto: "c" };
      const body = await wait(thread, { assistant_id: "breakpoints", command, input: { path: ["never"] } });
      // What was left to do is done beside what the command asks for.
      expect(body.path).toEqual(["a", "u", "b", "c", "c"]);
      const pairs = { update: [["path", ["v"]]], goto: ["c"] };
      expect((await wait(thread, { assistant_id: "breakpoints", command: pairs })).path.slice(5)).toEqual(["v", "c"]);
    });

    it("goto a node with an input of its own, several at once", async () => {
      const thread = await server.thread();
      await wait(thread, { assistant_id: "counter", input: { steps: 1 } });
      const send = { node: "step", input: { steps: 1, count: 41, log: [] } };
      const { log, count } = await wait(thread, { assistant_id: "counter", command: { goto: [send, send] } });
      expect(log.slice(1)).toEqual(["step-42", "step-42"]);
      expect(count).toBe(3);
    });
  });

  describe("goto and update", () => {
    const sent = async (body: object, thread?: Thread) =>
      wait(thread ?? (await server.thread()), { assistant_id: "breakpoints", ...body });
    const warnings = () => server.log.filter((line) => line.includes("input dropped"));

    it("fail with the name of a node that the graph does not have: it was a success that did nothing", async () => {
      for (const goto of ["nope", ["b", "nope"], { node: "nope", input: {} }, ["c", { node: "nope" }]]) {
        const thread = await server.thread();
        const before = await sent({ input: {} }, thread);
        expect(before.path).toEqual(["a", "b", "c"]);
        expect((await sent({ command: { goto, update: { path: ["u"] } } }, thread)).__error__).toEqual({
          error: "UnknownNodeError",
          message: 'command.goto: graph "breakpoints" has no node "nope"; its nodes are a, b, c',
        });
        expect(await shown(thread)).toMatchObject({ status: "error", values: { path: ["a", "b", "c"] } });
        expect((await sent({ command: { goto: "c" } }, thread)).path).toEqual(["a", "b", "c", "c"]);
      }
      expect(
        (await server.post("/runs/wait", { assistant_id: "breakpoints", command: { goto: "nope" } })).body,
      ).toEqual({
        __error__: { error: "UnknownNodeError", message: expect.stringContaining('"nope"') },
      });
    });

    it("are carried out beside an input, which is dropped and logged without its values", async () => {
      const thread = await server.thread();
      await sent({ input: {} }, thread);
      const before = warnings().length;
      const command = { goto: "c", update: { path: ["updated"] } };
      const after = await sent({ input: { path: ["secret words"] }, command }, thread);
      expect(after.path).toEqual(["a", "b", "c", "updated", "c"]);
      expect(warnings().length).toBe(before + 1);
      expect(warnings().at(-1)).not.toContain("secret words");
      expect(JSON.parse(warnings().at(-1) ?? "")).toMatchObject({ level: "warn", thread_id: thread.id });
      await sent({ input: null, command: { goto: "c" } }, thread);
      expect(warnings().length).toBe(before + 1);
    });

    it("to the end of the graph and to nodes in a list are no error", async () => {
      expect((await sent({ command: { goto: "__end__", update: { path: ["u"] } } })).path).toEqual(["u"]);
      expect((await sent({ command: { goto: ["b", { node: "c", input: {} }] } })).path).toEqual(
        expect.arrayContaining(["b", "c"]),
      );
    });

    it("that say nothing are no command: the input beside them is used", async () => {
      for (const command of [{}, { goto: null }, { update: null, goto: [] }]) {
        expect((await sent({ input: { path: ["in"] }, command })).path).toEqual(["in", "a", "b", "c"]);
      }
    });
  });

  describe("breakpoints and forks", () => {
    it("stops before and after nodes, and goes on without input", async () => {
      const thread = await server.thread();
      const first = await wait(thread, { assistant_id: "breakpoints", input: {}, interrupt_before: ["b"] });
      expect(first).toEqual({ path: ["a"] });
      expect(await shown(thread)).toMatchObject({ status: "interrupted", interrupts: {}, values: { path: ["a"] } });
      await wait(thread, { assistant_id: "breakpoints", interrupt_after: ["b"] });
      expect((await server.get(`/threads/${thread.id}/state`)).body.next).toEqual(["c"]);
      expect((await wait(thread, { assistant_id: "breakpoints", input: null })).path).toEqual(["a", "b", "c"]);
      expect((await shown(thread)).status).toBe("idle");
    });

    it("stops before every node with a star", async () => {
      const thread = await server.thread();
      for (const path of [[], ["a"], ["a", "b"]]) {
        const input = path.length === 0 ? {} : null;
        const body = await wait(thread, { assistant_id: "breakpoints", input, interrupt_before: "*" });
        expect(body.path ?? []).toEqual(path);
      }
    });

    it("forks from a checkpoint, named in either way", async () => {
      const thread = await server.thread();
      await wait(thread, { assistant_id: "breakpoints", input: {} });
      const history = (await server.get(`/threads/${thread.id}/history?limit=10`)).body;
      const { checkpoint_id } = history.find(({ next }: { next: string[] }) => next[0] === "b").checkpoint;
      for (const fork of [
        { checkpoint_id },
        { checkpoint: { checkpoint_id } },
        { config: { configurable: { checkpoint_id } } },
      ]) {
        const body = { assistant_id: "breakpoints", ...fork, stream_mode: "updates" };
        const events = await server.stream(thread.runs, body);
        expect(dataOf(events, "updates").map((data) => Object.keys(data)[0])).toEqual(["b", "c"]);
      }
    });
  });

  describe("durability", () => {
    const checkpoints = async (body: object) => {
      const thread = await server.thread();
      expect((await wait(thread, { assistant_id: "breakpoints", input: {}, ...body })).path).toEqual(["a", "b", "c"]);
      return (await server.get(`/threads/${thread.id}/history?limit=100`)).body.length;
    };

    it("exit stores the end only, sync and async every step; checkpoint_during stands in", async () => {
      expect(await checkpoints({ durability: "exit" })).toBe(1);
      expect(await checkpoints({ checkpoint_during: false })).toBe(1);
      const every = await checkpoints({});
      expect(every).toBeGreaterThan(3);
      expect(await checkpoints({ durability: "sync" })).toBe(every);
      expect(await checkpoints({ checkpoint_during: true })).toBe(every);
      expect(await checkpoints({ durability: "async", checkpoint_during: false })).toBe(every);
    });
  });
});
