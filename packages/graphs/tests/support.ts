import { MemorySaver } from "@langchain/langgraph";
import type { AgentGraph } from "../src/react-agent/graph.ts";

/** The shared graph with a saver of its own for one test, as a server gives it one per run. */
export function withSaver(graph: AgentGraph): AgentGraph {
  const own = graph.withConfig({}) as AgentGraph;
  own.checkpointer = new MemorySaver();
  return own;
}

export function human(text: string): { messages: { role: "user"; content: string }[] } {
  return { messages: [{ role: "user", content: text }] };
}

/** Resolves when the condition holds; looks every few milliseconds and gives up after five seconds. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`Waited too long for ${condition}`);
    await Bun.sleep(2);
  }
}

/** Runs with every fetch to a host other than the loopback refused; the addresses that were tried are returned. */
export async function withNetworkClosed(run: () => Promise<unknown>): Promise<string[]> {
  const open = globalThis.fetch;
  const tried: string[] = [];
  const closed = (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.hostname === "127.0.0.1") return open(input, init);
    tried.push(url.href);
    return Promise.reject(new TypeError(`network closed: ${url.href}`));
  };
  globalThis.fetch = Object.assign(closed, { preconnect: open.preconnect });
  try {
    await run();
  } finally {
    globalThis.fetch = open;
  }
  return tried;
}

/** Everything that a rejected promise was rejected with, or a failure if it was not. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    throw new Error(`rejected with something that is no Error: ${String(error)}`);
  }
  throw new Error("expected a rejection");
}
