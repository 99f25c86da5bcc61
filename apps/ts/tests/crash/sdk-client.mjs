// The SDK as a user runs it, under Node: streams a run and prints its events as lines of JSON, whatever becomes of the
// server meanwhile. Under Bun the SDK does not take a refused connection for one that is worth another try.
import { Client } from "@langchain/langgraph-sdk";

const [apiUrl, threadId, assistantId, payload] = process.argv.slice(2);
const client = new Client({ apiUrl });
for await (const { event, data } of client.runs.stream(threadId || null, assistantId, JSON.parse(payload))) {
  process.stdout.write(`${JSON.stringify({ event, data })}\n`);
}
