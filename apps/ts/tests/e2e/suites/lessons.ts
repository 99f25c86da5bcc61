import { describe, expect, it } from "bun:test";
import { dataOf, type SdkSession } from "../sdk-session.ts";

interface Chat {
  messages: { id: string; type: string; content: string }[];
}

/** What the runtime's predecessor got wrong once, as a chat client sees it. */
export function lessonsSuite(session: SdkSession): void {
  describe("a conversation", () => {
    const ask = (content: string) => ({ input: { messages: [{ role: "user", content }], n: 2 } });

    it.each(["stream", "wait"] as const)("of N turns by %s leaves all 2N messages, in order", async (how) => {
      const { threads } = session.client;
      const id = await session.thread();
      for (let turn = 1; turn <= 3; turn++) {
        await session[how](id, "tokens", ask(`question ${turn}`));
        const state = await threads.getState<Chat>(id);
        const thread = await threads.get<Chat>(id);
        expect(state.values.messages).toHaveLength(2 * turn);
        expect(thread.values).toEqual(state.values);
        expect(thread.status).toBe("idle");
      }
      const { values } = await threads.get<Chat>(id);
      expect(values.messages.map(({ type }) => type)).toEqual(["human", "ai", "human", "ai", "human", "ai"]);
      expect(values.messages.filter((_, i) => i % 2 === 0).map(({ content }) => content)).toEqual([
        "question 1",
        "question 2",
        "question 3",
      ]);
      expect(new Set(values.messages.map(({ id: messageId }) => messageId)).size).toBe(6);
    });

    it("never shows an empty state in its history after a run", async () => {
      const id = await session.thread();
      await session.wait(id, "tokens", ask("one"));
      const history = await session.client.threads.getHistory<Chat>(id, { limit: 100 });
      // The first checkpoint stands before the input was applied.
      for (const { values } of history.slice(0, -1)) expect(values.messages.length).toBeGreaterThan(0);
    });

    it("begins each turn's values with what was there and the new input", async () => {
      const id = await session.thread();
      await session.wait(id, "tokens", ask("one"));
      const parts = await session.stream(id, "tokens", { ...ask("two"), streamMode: "values" });
      const first = dataOf(parts, "values")[0] as Chat;
      expect(parts[1]?.event).toBe("values");
      expect(first.messages.map(({ content }) => content)).toEqual(["one", "t1 t2", "two"]);
    });

    it("tells its history to GET and to POST alike, with every filter", async () => {
      const id = await session.thread();
      await session.wait(id, "breakpoints", { input: {} });
      const post = (body: object) =>
        session.fetchJson(`/threads/${id}/history`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
        });
      const every = (await post({ limit: 100 })) as unknown as { checkpoint: object; metadata: { step: number } }[];
      expect(every.map(({ metadata }) => metadata.step)).toEqual([3, 2, 1, 0, -1]);
      expect(await session.fetchJson(`/threads/${id}/history?limit=100`)).toEqual(every as never);
      const { checkpoint } = every[2] as { checkpoint: { checkpoint_id: string } };
      const before = checkpoint.checkpoint_id;
      const older = every.slice(3) as never;
      expect(await post({ limit: 100, before })).toEqual(older);
      expect(await session.fetchJson(`/threads/${id}/history?limit=100&before=${before}`)).toEqual(older);
      expect(await post({ limit: 100, metadata: { step: 1 } })).toEqual([every[2]] as never);
      expect(((await post({ limit: 100, checkpoint })) as unknown as object[])[0]).toEqual(every[2] as object);
    });
  });
}
