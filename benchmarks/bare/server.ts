/**
 * The floor that our server is measured against (docs/benchmarks.md): the same graphs behind `Bun.serve` and LangGraph's own
 * MemorySaver. No validation, no rows, no log, no auth, no disk; a bound, not a product. It answers just enough of the API
 * for the driver. Listens on 127.0.0.1, port from PORT. CHECKPOINTER names a module whose checkpointer takes the place of
 * the MemorySaver: that is the rival of `--storage postgres`.
 */
import { MemorySaver } from "@langchain/langgraph";
import * as graphs from "../graph/graphs.ts";
import { json, snapshotToState, toDict } from "./wire.ts";

// biome-ignore lint/suspicious/noExplicitAny: the four graphs have different state types and one shape
type Graphs = Record<string, any>;

const stateless: Graphs = graphs;

/** A MemorySaver with shallow copies of the graphs that use it, and the threads that live in it. */
type Generation = { graphs: Graphs; threads: string[] };

/**
 * MemorySaver never forgets, and its deleteThread looks at every write it holds. In a long run the collector's work would be
 * measured instead of the server's; so each few hundred threads get a saver of their own, and the oldest is dropped whole.
 */
const THREADS_PER_GENERATION = 500;

/** One for all threads, where there is one: it keeps them outside this process. */
const { CHECKPOINTER } = process.env;
const durable = CHECKPOINTER === undefined ? undefined : await (await import(CHECKPOINTER)).openCheckpointer();

type ThreadRow = { generation: Generation; graphId: string };
const threads = new Map<string, ThreadRow>();
let previous: Generation | undefined;
let current = newGeneration();

function newGeneration(): Generation {
  const checkpointer = durable ?? new MemorySaver();
  const copies = Object.entries(stateless).map(([id, graph]) => [
    id,
    Object.assign(Object.create(Object.getPrototypeOf(graph)), graph, { checkpointer }),
  ]);
  return { graphs: Object.fromEntries(copies), threads: [] };
}

function createThread(): Response {
  if (current.threads.length === THREADS_PER_GENERATION) {
    for (const id of previous?.threads ?? []) threads.delete(id);
    previous = current;
    current = newGeneration();
  }
  const id = crypto.randomUUID();
  current.threads.push(id);
  threads.set(id, { generation: current, graphId: "" });
  return json({ thread_id: id, status: "idle", metadata: {}, values: null });
}

/** The graph of the thread: the one asked for, or that of its last run. */
function graphOf(threadId: string, graphId?: string) {
  const row = threads.get(threadId) as ThreadRow;
  if (graphId !== undefined) row.graphId = graphId;
  return row.generation.graphs[row.graphId];
}

type RunRequest = { assistant_id: string; input: unknown; config?: { recursion_limit?: number } };

function runConfig(request: RunRequest, threadId: string) {
  return { configurable: { thread_id: threadId }, recursionLimit: request.config?.recursion_limit ?? 25 };
}

async function wait(request: RunRequest, threadId: string | undefined): Promise<Response> {
  if (threadId === undefined) return json(toDict(await stateless[request.assistant_id].invoke(request.input)));
  const graph = graphOf(threadId, request.assistant_id);
  return json(toDict(await graph.invoke(request.input, runConfig(request, threadId))));
}

function stream(request: RunRequest, threadId: string): Response {
  const graph = graphOf(threadId, request.assistant_id);
  const text = new TextEncoder();
  const aborter = new AbortController();
  let waiting: string[] = [];
  let scheduled = false;
  let open = true;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const flush = () => {
        scheduled = false;
        if (!open || waiting.length === 0) return;
        controller.enqueue(text.encode(waiting.join("")));
        waiting = [];
      };
      const send = (event: string, data: unknown) => {
        waiting.push(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
        if (scheduled) return;
        scheduled = true;
        setImmediate(flush);
      };
      send("metadata", { run_id: crypto.randomUUID(), thread_id: threadId });
      flush();
      void (async () => {
        try {
          const options = {
            ...runConfig(request, threadId),
            streamMode: ["messages", "values"],
            signal: aborter.signal,
          };
          for await (const [mode, payload] of await graph.stream(request.input, options)) {
            send(mode, toDict(payload));
          }
          send("end", null);
        } catch (error) {
          if (open) send("error", { error: (error as Error).name, message: (error as Error).message });
        }
        flush();
        if (open) controller.close();
      })();
    },
    cancel() {
      open = false;
      aborter.abort();
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream", "cache-control": "no-store" } });
}

async function state(threadId: string): Promise<Response> {
  const graph = graphOf(threadId);
  return json(snapshotToState(await graph.getState({ configurable: { thread_id: threadId } })));
}

async function history(threadId: string, limit: number): Promise<Response> {
  const graph = graphOf(threadId);
  const states: unknown[] = [];
  for await (const snapshot of graph.getStateHistory({ configurable: { thread_id: threadId } }, { limit })) {
    states.push(snapshotToState(snapshot));
  }
  return json(states);
}

const runRequest = (request: Request): Promise<RunRequest> => request.json() as Promise<RunRequest>;

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.PORT ?? 0),
  idleTimeout: 0,
  routes: {
    "/ok": () => json({ ok: true }),
    "/threads": { POST: createThread },
    "/threads/:id/runs/wait": { POST: async (r) => wait(await runRequest(r), r.params.id) },
    "/threads/:id/runs/stream": { POST: async (r) => stream(await runRequest(r), r.params.id) },
    "/threads/:id/state": { GET: (r) => state(r.params.id) },
    "/threads/:id/history": {
      POST: async (r) => history(r.params.id, ((await r.json()) as { limit: number }).limit),
    },
    "/runs/wait": { POST: async (r) => wait(await runRequest(r), undefined) },
  },
  fetch: () => new Response("not found", { status: 404 }),
});

for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => process.exit(0));
process.stdout.write(`bare server on ${server.url}\n`);
