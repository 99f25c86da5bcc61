import { keepSecrets } from "#core/assistants/secrets";
import { RuntimeError } from "#core/errors";
import { mergeRunConfig } from "#core/graphs/merge";
import type { GraphRegistry } from "#core/graphs/registry";
import { STREAM_MODES, type StreamMode } from "#core/streams/modes";
import type { Assistant } from "#schemas/assistants";
import type { JsonObject, RunConfig } from "#schemas/common";
import type { RunCreate } from "#schemas/run-requests";
import type { Thread } from "#schemas/threads";
import { commandOf } from "./command.ts";
import type { NewRun } from "./repository.ts";

/** How a run was asked for: it decides what is logged and where its state lives. */
export interface CreateOptions {
  runId: string;
  /** The thread in the path; absent for a stateless run, which gets a hidden thread of its own. */
  threadId: string | undefined;
  hiddenThreadId: string;
  streamed: boolean;
  idempotencyKey: string | null;
  /** Digest of the batch that the run belongs to, where the batch has an idempotency key. */
  batch?: string | undefined;
  requestId: string;
  maxAttempts: number;
}

/** What the request means for the graph; stored with the run, so a later attempt needs nothing else. */
export interface RunKwargs {
  input: unknown;
  command?: RunCreate["command"];
  config: RunConfig;
  context: JsonObject | undefined;
  stream_mode: StreamMode[];
  subgraphs: boolean;
  interrupt_before?: "*" | string[];
  interrupt_after?: "*" | string[];
  strict_resume?: boolean;
  /** State lives in memory only: a stateless run that asked for no durability. */
  transient: boolean;
  request_id: string;
  batch?: string;
}

/**
 * Builds the run row from a request. Throws RuntimeError not_found (graph), unavailable (graph is broken),
 * bad_request (contradictions), not_supported (webhook).
 */
export function newRun(
  request: RunCreate,
  options: CreateOptions,
  found: { assistant: Assistant; thread: Thread | undefined; graphs: GraphRegistry },
): NewRun {
  const { assistant, thread, graphs } = found;
  const graph = graphs.find(assistant.graph_id);
  if (graph === undefined) throw new RuntimeError("not_found", `Graph "${assistant.graph_id}" not found`);
  if (graph.error !== undefined) {
    throw new RuntimeError("unavailable", `Graph "${graph.id}" could not be loaded: ${graph.error}`);
  }
  if (request.webhook) throw new RuntimeError("not_supported", "webhook: this server does not send webhooks");
  const stateless = options.threadId === undefined;
  if (stateless && hasResume(request)) {
    throw new RuntimeError("bad_request", "You must provide a thread_id when resuming.");
  }
  const durability = request.durability ?? (request.checkpoint_during === false ? "exit" : "async");
  const { created_by: _, ...base } = assistant.metadata;
  return {
    run_id: options.runId,
    thread_id: options.threadId ?? options.hiddenThreadId,
    assistant_id: assistant.assistant_id,
    graph_id: assistant.graph_id,
    revision: graph.revision,
    metadata: runMetadata(request, assistant),
    base_metadata: base,
    kwargs: kwargsOf(request, { ...options, assistant, thread, stateless }) as unknown as JsonObject,
    multitask_strategy: request.multitask_strategy ?? "enqueue",
    durability,
    stateless,
    on_completion: stateless ? (request.on_completion ?? "delete") : "keep",
    logged: options.streamed || request.stream_resumable === true,
    after_seconds: request.after_seconds ?? 0,
    max_attempts: options.maxAttempts,
    idempotency_key: options.idempotencyKey,
    if_not_exists: stateless ? "create" : (request.if_not_exists ?? "reject"),
    thread_metadata: {
      ...(stateless ? {} : request.metadata),
      graph_id: assistant.graph_id,
      assistant_id: assistant.assistant_id,
    },
  };
}

function hasResume(request: RunCreate): boolean {
  return request.command != null && request.command.resume !== undefined;
}

/** config < run, the server's keys above both; assistant and thread lie below them. */
function runMetadata(request: RunCreate, assistant: Assistant): JsonObject {
  return {
    ...(request.config?.metadata ?? {}),
    ...(request.metadata ?? {}),
    assistant_id: assistant.assistant_id,
    graph_id: assistant.graph_id,
  };
}

function kwargsOf(
  request: RunCreate,
  from: Pick<CreateOptions, "requestId" | "batch"> & {
    assistant: Assistant;
    thread: Thread | undefined;
    stateless: boolean;
  },
): RunKwargs {
  const { config, context } = mergeRunConfig({
    assistant: { config: from.assistant.config, context: from.assistant.context },
    thread: { config: from.thread?.config ?? {} },
    run: keepSecrets(request, from.assistant),
  });
  const fork = forkOf(request);
  const command = commandOf(request.command);
  return {
    input: request.input ?? null,
    ...(command !== undefined && { command }),
    config: { ...config, configurable: { ...withoutEmptyFork(config.configurable), ...fork, ...tracerKeys(request) } },
    context,
    stream_mode: streamModes(request.stream_mode),
    subgraphs: request.stream_subgraphs ?? false,
    ...(request.interrupt_before != null && { interrupt_before: request.interrupt_before }),
    ...(request.interrupt_after != null && { interrupt_after: request.interrupt_after }),
    ...(request.strict_resume === true && { strict_resume: true }),
    transient: from.stateless && request.durability == null && request.on_completion !== "keep",
    request_id: from.requestId,
    ...(from.batch !== undefined && { batch: from.batch }),
  };
}

/** The checkpoint to fork from, as keys of `configurable`. An empty id means none. */
function forkOf(request: RunCreate): JsonObject {
  const id = request.checkpoint?.checkpoint_id || request.checkpoint_id;
  if (!id) return {};
  const { checkpoint_ns: ns, checkpoint_map: map } = request.checkpoint ?? {};
  return { checkpoint_id: id, ...(ns ? { checkpoint_ns: ns } : {}), ...(map ? { checkpoint_map: map } : {}) };
}

function withoutEmptyFork(configurable: JsonObject): JsonObject {
  if (configurable.checkpoint_id !== "") return configurable;
  const { checkpoint_id: _id, checkpoint_ns: _ns, checkpoint_map: _map, ...rest } = configurable;
  return rest;
}

function tracerKeys(request: RunCreate): JsonObject {
  const tracer = request.langsmith_tracer;
  if (tracer == null) return {};
  return {
    ...(tracer.project_name !== undefined && { langsmith_project: tracer.project_name }),
    ...(tracer.example_id !== undefined && { langsmith_example_id: tracer.example_id }),
  };
}

export function streamModes(asked: RunCreate["stream_mode"]): StreamMode[] {
  const list = [asked ?? []].flat();
  if (list.length === 0) return ["values"];
  return STREAM_MODES.filter((mode) => list.includes(mode));
}
