import { expect } from "bun:test";
import { join } from "node:path";
import { RunServer } from "../runs/server.ts";

export function startDoors(): Promise<RunServer> {
  return RunServer.start({}, join(import.meta.dir, "fixtures", "langgraph.json"));
}

// biome-ignore lint/suspicious/noExplicitAny: an answer of the server
type Json = any;

/** What must come back wherever the value went, in the state of the graph `doors`. */
function expectExact(values: Json, value: unknown, doors: string[]): void {
  expect(values.data).toStrictEqual(value);
  for (const door of doors) expect({ door, value: values.seen[door] }).toStrictEqual({ door, value });
  const answer = values.messages.find(({ id }: { id: string }) => id === "answer");
  const result = values.messages.find(({ id }: { id: string }) => id === "result");
  expect(answer.content[0].extra).toStrictEqual(value);
  expect(answer.additional_kwargs.data).toStrictEqual(value);
  expect(answer.response_metadata.data).toStrictEqual(value);
  expect(answer.tool_calls[0].args.data).toStrictEqual(value);
  expect(result.artifact).toStrictEqual(value);
}

const EARLY = ["output", "store", "context", "configurable", "metadata", "packet"];

/** Sends the value through every door of a thread; what is read again is exact, and the thread goes on. */
export async function passThrough(server: RunServer, value: unknown): Promise<void> {
  const ok = async (reply: Promise<{ status: number; text: string; body: Json }>): Promise<Json> => {
    const { status, text, body } = await reply;
    if (status !== 200) throw new Error(`${status}: ${text}`);
    return body;
  };
  const thread = await server.thread({ metadata: { data: value } });
  const at = `/threads/${thread.id}`;

  const events = await server.stream(thread.runs, {
    assistant_id: "doors",
    input: { data: value, unknown: value },
    context: { data: value },
    config: { configurable: { data: value } },
    metadata: { data: value },
    stream_mode: ["values", "updates", "messages", "custom"],
  });
  const failure = events.find(({ event }) => event === "error");
  if (failure !== undefined) throw new Error(`the run failed: ${JSON.stringify(failure.data)}`);
  expect(events.find(({ event }) => event === "custom")?.data).toStrictEqual(value);
  const asked = (await ok(server.get(`${at}/state`))) as Json;
  expectExact(asked.values, value, EARLY);
  expect(asked.interrupts[0].value).toStrictEqual(value);
  const interrupted = (await ok(server.get(at))) as Json;
  expect(interrupted.metadata.data).toStrictEqual(value);
  expectExact(interrupted.values, value, EARLY);
  expect(Object.values<Json>(interrupted.interrupts)[0][0].value).toStrictEqual(value);

  const resumed = (await ok(
    server.post(`${thread.runs}/wait`, {
      assistant_id: "doors",
      command: { resume: { answer: value } },
      context: { data: value },
    }),
  )) as Json;
  const answered = { ...resumed, seen: { ...resumed.seen, resumed: resumed.seen?.resumed?.answer } };
  expectExact(answered, value, [...EARLY, "resumed"]);

  // A run that goes to a node by command, and a state write: both begin from what is stored.
  const sent = (await ok(
    server.post(`${thread.runs}/wait`, {
      assistant_id: "doors",
      command: { update: { seen: { update: value } }, goto: { node: "leaf", input: { data: value } } },
    }),
  )) as Json;
  expect(sent.seen.update).toStrictEqual(value);
  await ok(server.post(`${at}/state`, { values: { seen: { written: value } }, as_node: "thank" }));
  const state = (await ok(server.get(`${at}/state`))) as Json;
  expectExact(state.values, value, [...EARLY, "update", "written"]);

  const history = (await ok(server.get(`${at}/history?limit=100`))) as Json[];
  expect(history.flatMap(({ tasks }) => tasks).filter(({ error }) => error !== null)).toEqual([]);
  expect(history[0]).toEqual(state);
  const first = history.at(-1);
  expect(first.tasks[0].result.data).toStrictEqual(value);
  const fork = (await ok(server.post(`${at}/state/checkpoint`, { checkpoint: history[1].checkpoint }))) as Json;
  expect(fork.values).toStrictEqual(history[1].values);

  const copy = (await ok(server.post(`${at}/copy`))) as Json;
  const copied = (await ok(server.get(`/threads/${copy.thread_id}/state`))) as Json;
  expect(copied.values).toStrictEqual(state.values);
  await ok(server.post("/threads/prune", { thread_ids: [copy.thread_id], strategy: "keep_latest" }));
  expect(((await ok(server.get(`/threads/${copy.thread_id}/state`))) as Json).values).toStrictEqual(state.values);
  for (const id of [thread.id, copy.thread_id]) {
    expect((await server.call("DELETE", `/threads/${id}`)).status).toBeLessThan(300);
  }
}
