// A graph that stops for a person, and goes on with the answer: minutes or days later, from any process.
import assert from "node:assert/strict";
import { Client } from "@langchain/langgraph-sdk";

const client = new Client({ apiUrl: process.env.FRACTAL_URL ?? "http://127.0.0.1:3000" });
const thread = await client.threads.create();

const input = { messages: [{ role: "user", content: "Delete the old backups, with approval" }] };
await client.runs.wait(thread.thread_id, "agent", { input });

const waiting = await client.threads.get(thread.thread_id);
assert.equal(waiting.status, "interrupted");
const [question] = Object.values(waiting.interrupts).flat();
process.stdout.write(`The agent asks: ${JSON.stringify(question?.value)}\n`);

await client.runs.wait(thread.thread_id, "agent", { command: { resume: { decisions: [{ type: "approve" }] } } });
const done = await client.threads.get(thread.thread_id);
assert.equal(done.status, "idle");
assert.deepEqual(done.interrupts, {});
process.stdout.write("Approved, and done.\n");
