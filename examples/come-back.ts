// A client that loses its stream and gets the rest by its last event id.
import assert from "node:assert/strict";
import { Client } from "@langchain/langgraph-sdk";

const client = new Client({ apiUrl: process.env.FRACTAL_URL ?? "http://127.0.0.1:3000" });
const thread = await client.threads.create();

const input = { messages: [{ role: "user", content: "What is 17 * 23?" }] };
let runId = "";
const seen: string[] = [];
const first = client.runs.stream(thread.thread_id, "agent", {
  input,
  streamMode: ["updates", "messages-tuple"],
  onRunCreated: (run) => {
    runId = run.run_id;
  },
});
for await (const part of first) {
  const { id } = part as { id?: string };
  if (id !== undefined) seen.push(id);
  if (seen.length === 3) break; // The train enters a tunnel.
}

const rest = client.runs.joinStream(thread.thread_id, runId, { lastEventId: seen.at(-1) as string });
let last = "";
for await (const part of rest) {
  const { id, event } = part as { id?: string; event: string };
  last = event;
  if (id !== undefined) seen.push(id);
}
assert.equal(last, "end");
assert.equal(new Set(seen).size, seen.length, "no event twice");

// The same run, read from its beginning in one piece.
const whole: string[] = [];
for await (const part of client.runs.joinStream(thread.thread_id, runId, { lastEventId: "-1" })) {
  const { id } = part as { id?: string };
  if (id !== undefined) whole.push(id);
}
assert.deepEqual(seen, whole, "no event missing");
process.stdout.write(`${seen.length} events over two connections, none lost, none twice\n`);
