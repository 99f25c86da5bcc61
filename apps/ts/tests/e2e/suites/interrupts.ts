import { describe, expect, it } from "bun:test";
import { dataOf, type Json, names, type SdkSession } from "../sdk-session.ts";

interface Question {
  id: string;
  value: string;
}

export function interruptsSuite(session: SdkSession): void {
  describe("interrupts", () => {
    const pending = async (threadId: string): Promise<Question[]> => {
      const { tasks } = await session.client.threads.getState(threadId);
      return tasks.flatMap(({ interrupts }) => interrupts as unknown as Question[]);
    };

    it("stops to ask, shows the question everywhere, and goes on with the answer", async () => {
      const { client } = session;
      const id = await session.thread();
      const asked = await session.wait(id, "interrupting", { input: {} });
      expect((asked.__interrupt__ as Question[]).map(({ value }) => value)).toEqual(["name?"]);
      const [run] = await client.runs.list(id);
      expect(run?.status).toBe("success");
      const thread = await client.threads.get(id);
      expect(thread.status).toBe("interrupted");
      expect(Object.values(thread.interrupts).flat()).toMatchObject([{ value: "name?" }]);
      expect((await client.threads.getState(id)).next).toEqual(["ask"]);
      expect(await client.threads.search({ ids: [id], status: "interrupted" } as never)).toHaveLength(1);

      await session.wait(id, "interrupting", { command: { resume: "Ada" } });
      expect(await pending(id)).toMatchObject([{ value: "age?" }]);
      expect((await client.threads.getState(id)).next).toEqual(["ask"]);
      expect((await client.threads.get(id)).status).toBe("interrupted");
      const done = await session.wait(id, "interrupting", { command: { resume: 36 } });
      expect(done.greeting).toBe("Ada is 36");
      expect(await client.threads.get(id)).toMatchObject({ status: "idle", interrupts: {} });
    });

    it("streams the question as the last thing of the run, and the answer's run to its end", async () => {
      const id = await session.thread();
      const asked = await session.stream(id, "interrupting", { input: {}, streamMode: "updates" });
      expect(names(asked)).toEqual(["metadata", "updates", "end"]);
      expect(asked[1]?.data.__interrupt__).toMatchObject([{ value: "name?", id: expect.any(String) }]);
      const shown = await session.stream(id, "interrupting", { command: { resume: "Ada" }, streamMode: "values" });
      expect(dataOf(shown, "values").at(-1).__interrupt__).toMatchObject([{ value: "age?" }]);
      const done = await session.stream(id, "interrupting", { command: { resume: 36 }, streamMode: "updates" });
      expect(dataOf(done, "updates").map((update) => Object.keys(update)[0])).toEqual(["ask", "greet"]);
    });

    it("takes the answers to parallel questions by their ids, together or one by one", async () => {
      const together = await session.thread();
      const asked = await session.wait(together, "interrupting_parallel", { input: {} });
      const questions = asked.__interrupt__ as Question[];
      expect(questions.map(({ value }) => value).sort()).toEqual(["left?", "right?"]);
      const answer = (given: Question[]) => ({
        command: { resume: Object.fromEntries(given.map(({ id, value }) => [id, value.toUpperCase()])) },
      });
      const expected = ["left=LEFT?", "right=RIGHT?", "joined"];
      expect((await session.wait(together, "interrupting_parallel", answer(questions))).answers).toEqual(expected);

      const single = await session.thread();
      const [first] = (await session.wait(single, "interrupting_parallel", { input: {} })).__interrupt__ as Question[];
      await session.wait(single, "interrupting_parallel", answer([first as Question]));
      const left = await pending(single);
      expect(left.map(({ value }) => value)).toEqual([first?.value === "left?" ? "right?" : "left?"]);
      const { interrupts } = await session.client.threads.get(single);
      expect(Object.values(interrupts).flat() as unknown).toEqual(left);
      expect((await session.wait(single, "interrupting_parallel", answer(left))).answers).toEqual(expected);
    });

    it("gives a bare answer, even null, to the question that is still open", async () => {
      for (const resume of ["late", null]) {
        const id = await session.thread();
        const [first] = (await session.wait(id, "interrupting_parallel", { input: {} })).__interrupt__ as Question[];
        const known = { [(first as Question).id]: "early" };
        await session.wait(id, "interrupting_parallel", { command: { resume: known } });
        const { answers } = await session.wait(id, "interrupting_parallel", { command: { resume } });
        expect(answers).toEqual(["left=early", `right=${resume}`, "joined"]);
      }
    });

    it("asks from two levels of subgraphs down, whose states can be read", async () => {
      const { client } = session;
      const id = await session.thread();
      await session.wait(id, "subgraphs", { input: {} });
      const state = await client.threads.getState<Json>(id, undefined, { subgraphs: true });
      const child = state.tasks[0]?.state;
      expect([state.tasks[0]?.name, child?.next]).toEqual(["child", ["grandchild"]]);
      expect(child?.values).toMatchObject({ trail: ["before", "child"] });
      const inner = child?.tasks[0]?.state?.checkpoint;
      const at = await client.threads.getState<Json>(id, inner as never);
      expect(at.next).toEqual(["approve"]);
      const done = await session.wait(id, "subgraphs", { command: { resume: "yes" } });
      expect(done.trail).toEqual(["before", "child", "approved:yes", "after"]);
    });

    it("breaks before and after a node, and goes on from there", async () => {
      const { client } = session;
      const before = await session.thread();
      expect((await session.wait(before, "breakpoints", { input: {}, interruptBefore: ["c"] })).path).toEqual([
        "a",
        "b",
      ]);
      expect((await client.threads.get(before)).status).toBe("interrupted");
      expect((await client.threads.getState(before)).next).toEqual(["c"]);
      expect((await session.wait(before, "breakpoints", { input: null })).path).toEqual(["a", "b", "c"]);
      expect((await client.threads.get(before)).status).toBe("idle");

      const after = await session.thread();
      expect((await session.wait(after, "breakpoints", { input: {}, interruptAfter: ["a"] })).path).toEqual(["a"]);
      const everywhere = { input: null, interruptBefore: "*" };
      expect((await session.wait(after, "breakpoints", everywhere)).path).toEqual(["a", "b"]);
      expect((await session.wait(after, "breakpoints", { input: null })).path).toEqual(["a", "b", "c"]);
    });

    it("obeys commands: an update, a node to go to, both", async () => {
      const id = await session.thread();
      await session.wait(id, "breakpoints", { input: {} });
      const told = await session.wait(id, "breakpoints", { command: { goto: "b", update: { path: ["told"] } } });
      expect(told.path).toEqual(["a", "b", "c", "told", "b", "c"]);
      const sent = { goto: [{ node: "c", input: { path: [] } }] };
      expect((await session.wait(id, "breakpoints", { command: sent })).path).toEqual([
        ...(told.path as string[]),
        "c",
      ]);
      const asked = await session.thread();
      await session.wait(asked, "interrupting", { input: {} });
      const renamed = { command: { resume: "Ada", update: { greeting: "not yet" } } };
      expect(await session.wait(asked, "interrupting", renamed)).toMatchObject({ greeting: "not yet" });
    });

    it("forks from an earlier checkpoint and leaves the past as it was", async () => {
      const { threads } = session.client;
      const id = await session.thread();
      await session.wait(id, "breakpoints", { input: {} });
      const past = await threads.getHistory(id, { limit: 100 });
      const checkpoint = past.find(({ next }) => next.join() === "b")?.checkpoint;
      const byId = { input: null, checkpointId: checkpoint?.checkpoint_id };
      expect((await session.wait(id, "breakpoints", byId)).path).toEqual(["a", "b", "c"]);
      const { thread_id: _, ...place } = checkpoint as unknown as Json;
      const parts = await session.stream(id, "breakpoints", { input: null, checkpoint: place, streamMode: "updates" });
      expect(dataOf(parts, "updates").map((update) => Object.keys(update)[0])).toEqual(["b", "c"]);
      const now = await threads.getHistory(id, { limit: 100 });
      // Each fork is a checkpoint of its own, followed by those of b and c.
      expect(now.length).toBe(past.length + 2 * 3);
      expect(now.slice(-past.length).map(({ checkpoint: c }) => c)).toEqual(past.map(({ checkpoint: c }) => c));
    });
  });
}
