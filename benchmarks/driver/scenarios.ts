import { CHECKPOINTS } from "../graph/script.ts";
import { checkHistory, checkState, checkValues, type GraphId, StreamCheck, WrongAnswer } from "./answers.ts";
import { call, createThread, postJson, text } from "./api.ts";
import { SseReader } from "./sse.ts";

/** A server as the driver sees it. */
export type Target = {
  /** http://host:port, no slash at the end. */
  base: string;
  /** Whether its streams close with `event: end`. */
  endEvent: boolean;
};

/** What one operation showed beside its duration; milliseconds from the request for the stream. */
export type Observation = { events?: number; firstByte?: number; firstEvent?: number; firstToken?: number };

/** Does one operation, checks its answer. */
export type Operation = () => Promise<Observation>;

export type Scenario = {
  name: string;
  about: string;
  clients: readonly number[];
  /** Makes what the operations need, once per measurement. */
  prepare(target: Target): Promise<Operation>;
};

const NOTHING: Observation = {};
let asked = 0;

/** Every question is another text, so a server that mixes up runs is caught. */
const question = (): string => `question ${++asked}`;

const inputOf = (content: string) => ({ messages: [{ role: "human", content }] });

function wait(graph: GraphId, name: string, about: string): Scenario {
  return {
    name,
    about,
    clients: [1, 25],
    prepare:
      async ({ base }) =>
      async () => {
        const content = question();
        const threadId = await createThread(base);
        const body = { assistant_id: graph, input: inputOf(content) };
        checkValues(graph, content, await postJson(base, `/threads/${threadId}/runs/wait`, body));
        return NOTHING;
      },
  };
}

const stateless: Scenario = {
  name: "stateless",
  about: "POST /runs/wait, graph `tokens`",
  clients: [1, 25],
  prepare:
    async ({ base }) =>
    async () => {
      const content = question();
      checkValues(
        "tokens",
        content,
        await postJson(base, "/runs/wait", { assistant_id: "tokens", input: inputOf(content) }),
      );
      return NOTHING;
    },
};

async function streamOnce(target: Target): Promise<Observation> {
  const content = question();
  const threadId = await createThread(target.base);
  const check = new StreamCheck(content, target.endEvent);
  const reader = new SseReader();
  const decoder = new TextDecoder();
  const seen: Observation = {};
  const start = performance.now();
  const response = await call(target.base, `/threads/${threadId}/runs/stream`, {
    assistant_id: "tokens",
    input: inputOf(content),
    stream_mode: ["messages-tuple", "values"],
  });
  if (response.status !== 200) await text(response);
  if (!response.headers.get("content-type")?.includes("text/event-stream"))
    throw new WrongAnswer("the stream's content type");
  for await (const bytes of response.body as ReadableStream<Uint8Array>) {
    const now = performance.now() - start;
    seen.firstByte ??= now;
    for (const event of reader.feed(decoder.decode(bytes, { stream: true }))) {
      seen.firstEvent ??= now;
      if (check.see(event)) seen.firstToken ??= now;
    }
  }
  seen.events = check.finish(reader.unfinished);
  return seen;
}

const stream: Scenario = {
  name: "stream",
  about: "POST /threads, then runs/stream with messages-tuple and values, graph `tokens`: 100 tokens",
  clients: [1, 25],
  prepare: async (target) => () => streamOnce(target),
};

/** A thread with 100 checkpoints, made by one run. */
async function longThread(base: string): Promise<{ threadId: string; content: string }> {
  const content = question();
  const threadId = await createThread(base);
  const body = { assistant_id: "steps", input: inputOf(content), config: { recursion_limit: CHECKPOINTS + 20 } };
  await postJson(base, `/threads/${threadId}/runs/wait`, body);
  return { threadId, content };
}

/**
 * Reads that must give the same text each time: the first answer is checked in full, and again each one that differs from the
 * last good one, so that parsing half a megabyte per answer does not become the thing measured.
 */
function repeatedRead(fetchText: () => Promise<string>, check: (answer: unknown) => void): Operation {
  let good: string | undefined;
  return async () => {
    const answer = await fetchText();
    if (answer !== good) {
      check(JSON.parse(answer));
      good = answer;
    }
    return NOTHING;
  };
}

const state: Scenario = {
  name: "state",
  about: `GET /threads/{id}/state of a thread with ${CHECKPOINTS} checkpoints`,
  clients: [1, 25],
  async prepare({ base }) {
    const { threadId, content } = await longThread(base);
    return repeatedRead(
      async () => text(await call(base, `/threads/${threadId}/state`)),
      (answer) => checkState(content, answer),
    );
  },
};

const history: Scenario = {
  name: "history",
  about: `POST /threads/{id}/history, limit ${CHECKPOINTS}, of the same kind of thread (values about 438 KB)`,
  clients: [1, 25],
  async prepare({ base }) {
    const { threadId, content } = await longThread(base);
    return repeatedRead(
      async () => text(await call(base, `/threads/${threadId}/history`, { limit: CHECKPOINTS })),
      (answer) => checkHistory(content, answer),
    );
  },
};

export const SCENARIOS: readonly Scenario[] = [
  wait("tokens", "wait", "POST /threads, then runs/wait, graph `tokens`: one model call"),
  wait("tool", "wait-tool", "the same, graph `tool`: model, tool, model"),
  wait("one", "wait-one", "the same, graph `one`: one node, no model, so the server's own share is largest"),
  stateless,
  stream,
  state,
  history,
];
