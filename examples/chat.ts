// A thread that remembers, tokens as they come, a tool call.
import assert from "node:assert/strict";
import { Client } from "@langchain/langgraph-sdk";

const client = new Client({ apiUrl: process.env.FRACTAL_URL ?? "http://127.0.0.1:3000" });
const thread = await client.threads.create();

async function say(content: string): Promise<string> {
  let answer = "";
  const input = { messages: [{ role: "user", content }] };
  const stream = client.runs.stream(thread.thread_id, "agent", { input, streamMode: "messages-tuple" });
  for await (const { event, data } of stream) {
    if (event !== "messages") continue;
    const [piece] = data as [{ type: string; content: unknown }, unknown];
    if (piece.type === "AIMessageChunk" && typeof piece.content === "string") answer += piece.content;
  }
  return answer;
}

assert.match(await say("What is 17 * 23?"), /391/);
await say("Thank you!");

const state = await client.threads.getState<{ messages: { type: string }[] }>(thread.thread_id);
const kinds = state.values.messages.map((message) => message.type);
assert.deepEqual(kinds.slice(0, 4), ["human", "ai", "tool", "ai"]);
assert.equal(kinds.filter((kind) => kind === "human").length, 2);
process.stdout.write(`${kinds.length} messages on thread ${thread.thread_id}\n`);
