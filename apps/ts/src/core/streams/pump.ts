import { maskSecrets } from "@fractal-agents/infra/secrets";
import type { GraphLike } from "#core/graphs/registry";
import { encodeJson, encodePiece } from "#core/graphs/wire";
import type { JsonObject } from "#schemas/common";
import type { Interrupt } from "#schemas/threads";
import {
  checkpointToWire,
  debugToWire,
  eventToWire,
  type StoredId,
  withPublicMetadata,
  withStoredIds,
} from "./checkpoint-events.ts";
import type { RunEmitter } from "./emitter.ts";
import { LegacyMessages } from "./legacy-messages.ts";
import { graphModes, type StreamMode } from "./modes.ts";

export interface PumpCall {
  graph: GraphLike;
  input: unknown;
  /** Options for graph.stream besides streamMode and subgraphs. */
  options: JsonObject;
  modes: readonly StreamMode[];
  subgraphs: boolean;
  runId: string;
  /** Of the run's saver; absent where nothing is stored. */
  storedId?: StoredId | undefined;
}

/** What the graph left behind, seen from its root `values` events. */
export interface PumpResult {
  /** Last full state; undefined when none was emitted. */
  values: unknown;
  interrupts: Interrupt[];
  /** Stopped before or after a node by configuration. */
  breakpoint: boolean;
}

/**
 * Owns the graph's iterator and drains it into the emitter; HTTP only ever reads the feed.
 * `result` is filled as the events come, so it is valid after a throw too.
 */
export class Pump {
  readonly #call: PumpCall;
  readonly #emitter: RunEmitter;
  readonly #asked: ReadonlySet<StreamMode>;
  readonly #legacy: LegacyMessages | undefined;
  readonly result: PumpResult = { values: undefined, interrupts: [], breakpoint: false };
  #encoded: { values: unknown; text: string } | undefined;
  /** JSON of the metadata that all pieces of one message share: langgraph makes one object a model call. */
  #metadata: { value: JsonObject; text: string } | undefined;

  constructor(call: PumpCall, emitter: RunEmitter) {
    this.#call = call;
    this.#emitter = emitter;
    this.#asked = new Set(call.modes);
    // When both are asked for only tuples are sent, as the official server does.
    const legacy = this.#asked.has("messages") && !this.#asked.has("messages-tuple");
    this.#legacy = legacy ? new LegacyMessages((mode, ns, data) => emitter.emit(mode, ns, data)) : undefined;
  }

  async run(): Promise<void> {
    const { graph, input, options, modes, subgraphs } = this.#call;
    this.#emitter.keepsState(() => this.valuesText());
    const streamOptions = { ...options, streamMode: graphModes(modes), subgraphs };
    if (this.#asked.has("events")) await this.#runEvents(streamOptions);
    else for await (const chunk of await graph.stream(input, streamOptions)) this.#chunk(this.#stored(chunk));
    this.#legacy?.step("");
  }

  /** JSON text of the last full state; undefined when there was none. */
  valuesText(): string | undefined {
    const { values } = this.result;
    if (values === undefined) return undefined;
    if (this.#encoded?.values !== values) this.#encoded = { values, text: encodeJson(values) };
    return this.#encoded.text;
  }

  /** Lets go of what turned out not to be writable as JSON, so that the run can be ended without it. */
  forget(): void {
    this.result.values = undefined;
    this.result.interrupts = [];
  }

  /** LangChain's own event stream, which carries the graph's chunks inside; slower, so only for mode `events`. */
  async #runEvents(options: JsonObject): Promise<void> {
    const { graph, input, runId } = this.#call;
    for await (const event of graph.streamEvents(input, { ...options, version: "v2" })) {
      if (event.tags?.includes("langsmith:hidden")) continue;
      const own = event.event === "on_chain_stream" && event.run_id === runId;
      const chunk = own ? this.#stored(event.data.chunk) : undefined;
      const shown = own ? { ...event, data: { ...event.data, chunk } } : event;
      this.#emitter.emit("events", "", encodeJson(eventToWire(shown)));
      if (chunk !== undefined) this.#chunk(chunk);
    }
  }

  /** The chunk with the ids of checkpoints that are stored. */
  #stored(chunk: unknown[]): unknown[] {
    const { storedId } = this.#call;
    if (storedId === undefined || !(this.#asked.has("checkpoints") || this.#asked.has("debug"))) return chunk;
    const [mode, payload] = chunk.slice(-2) as [string, unknown];
    return [...chunk.slice(0, -1), withStoredIds(mode, payload, storedId)];
  }

  #chunk(chunk: unknown[]): void {
    const [path, mode, payload] = this.#call.subgraphs
      ? (chunk as [string[], string, unknown])
      : ([[], chunk[0], chunk[1]] as [string[], string, unknown]);
    const ns = path.length === 0 ? "" : path.join("|");
    if (mode === "values") this.#values(ns, payload);
    else if (mode === "messages") this.#message(ns, payload as [unknown, JsonObject]);
    else if (this.#asked.has(mode as StreamMode) && this.#emitter.watched) {
      if (mode === "updates") this.#legacy?.nodes(ns, Object.keys(payload as JsonObject));
      this.#emitter.emit(mode, ns, encodeEvent(mode, payload));
    }
  }

  #values(ns: string, payload: unknown): void {
    const interrupts = interruptsOf(payload);
    if (ns === "") this.#remember(payload, interrupts);
    this.#legacy?.step(ns);
    const asked = this.#asked.has("values");
    // Without `values` and `updates` an interrupt is still shown, but a breakpoint's empty list is not.
    const forced =
      !asked && !this.#asked.has("updates") && ns === "" && interrupts !== undefined && interrupts.length > 0;
    if ((asked || forced) && this.#emitter.watched) {
      const text = encodeJson(payload);
      if (ns === "" && interrupts === undefined) this.#encoded = { values: payload, text };
      this.#emitter.emit("values", ns, text);
    }
  }

  #remember(payload: unknown, interrupts: Interrupt[] | undefined): void {
    if (interrupts === undefined) this.result.values = payload;
    else if (interrupts.length === 0) this.result.breakpoint = true;
    else this.result.interrupts.push(...interrupts);
  }

  #message(ns: string, [message, metadata]: [unknown, JsonObject]): void {
    if (!this.#emitter.watched) return;
    if (this.#legacy !== undefined) this.#legacy.add(ns, message, metadata);
    else {
      if (this.#metadata?.value !== metadata)
        this.#metadata = { value: metadata, text: encodeJson(maskSecrets(metadata)) };
      this.#emitter.emit("messages", ns, `[${encodePiece(message)},${this.#metadata.text}]`);
    }
  }
}

function encodeEvent(mode: string, payload: unknown): string {
  if (mode === "checkpoints") return encodeJson(checkpointToWire(payload as JsonObject));
  if (mode === "debug") return encodeJson(debugToWire(payload as JsonObject));
  if (mode === "tasks") return encodeJson(withPublicMetadata(payload as JsonObject));
  return encodeJson(payload);
}

/** The interrupts of a payload that holds nothing else (how langgraph tells of them), else undefined. */
export function interruptsOf(payload: unknown): Interrupt[] | undefined {
  if (typeof payload !== "object" || payload === null || !("__interrupt__" in payload)) return undefined;
  const { __interrupt__: interrupts } = payload;
  return Array.isArray(interrupts) ? (interrupts as Interrupt[]) : undefined;
}
