import { afterAll, beforeAll, beforeEach, describe, expect, it } from "bun:test";
import { type MockLlm, startMockLlm } from "../../../../benchmarks/mock-llm/server.ts";
import { human, withSaver } from "../../tests/support.ts";
import { createReactAgent } from "./graph.ts";

const thread = { configurable: { thread_id: "t" } };
let mock: MockLlm;
beforeAll(async () => {
  mock = await startMockLlm({ response: "fine" });
});
beforeEach(() => mock.reset());
afterAll(() => mock.close());

describe("a thread whose approval was not decided", () => {
  it.each(["openai:gpt-4o", "anthropic:claude-3-5-haiku-latest", "google:gemini-2.0-flash"])(
    "goes on with %s, which refuses a call without an answer",
    async (MODEL_NAME) => {
      const factory = createReactAgent({
        MODEL_NAME,
        OPENAI_API_KEY: "k",
        ANTHROPIC_API_KEY: "k",
        GOOGLE_API_KEY: "k",
        OPENAI_BASE_URL: `${mock.url}/v1`,
        ANTHROPIC_BASE_URL: mock.url,
        GOOGLE_GEMINI_BASE_URL: mock.url,
      });
      const graph = withSaver(await factory({}));
      await graph.invoke(human('call request_approval {"action":"Send it"}'), thread);
      expect((await graph.getState(thread)).next).toEqual(["tools"]);
      for (const text of ["never mind", "and now?"]) {
        const { messages } = await graph.invoke(human(text), thread);
        expect(messages.at(-1)?.text).toBe("fine");
      }
      const { messages } = (await graph.getState(thread)).values as { messages: { type: string }[] };
      expect(messages.map(({ type }) => type)).toEqual(["human", "ai", "tool", "human", "ai", "human", "ai"]);
      expect(mock.stats()).toMatchObject({ requests: 3, refused: 0 });
    },
  );
});
