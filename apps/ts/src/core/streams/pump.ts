import type { GraphLike } from "#core/graphs/registry";
import { encodeJson, pieceToWire } from "#core/graphs/wire";
import type { JsonObject } from "#schemas/common";
import type { Interrupt } from "#schemas/threads";
import { checkpointToWire, debugToWire, type StoredId, taskToWire, withStoredIds } from "./checkpoint-events.ts";
import type { RunEmitter } from "./emitter.ts";
import { GraphEvents } from "./graph-events.ts";
import { interruptsOf, withInterrupts } from "./interrupts.ts";
import { LegacyMessages } from "./legacy-messages.ts";
import { ModelCalls } from "./model-calls.ts";
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

/** A graph or subgraph, seen from its `values` events. */
interface Place {
  /** Last full state; undefined when none was emitted. */
  values: unknown;
  interrupts: Interrupt[];
}

/** What the root left behind. */
export interface PumpResult extends Place {
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
  readonly #calls = new ModelCalls();
  /** Subgraphs of the superstep under way whose `values` are shown. */
  readonly #subgraphs = new Map<string, Place>();

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

  /** For a copy of langgraph that leaves them out of `values`. */
  stoppedAt(interrupts: readonly Interrupt[]): void {
    if (interrupts.length === 0) this.result.breakpoint = true;
    else this.#interrupted("", interrupts, this.#asked.has("values") && this.#emitter.watched);
  }

  /** Lets go of what turned out not to be writable as JSON, so that the run can be ended without it. */
  forget(): void {
    this.result.values = undefined;
    this.result.interrupts = [];
  }

  /** LangChain's own event stream, which carries the graph's chunks inside; slower, so only for mode `events`. */
  async #runEvents(options: JsonObject): Promise<void> {
    const { graph, input, runId } = this.#call;
    const events = new GraphEvents();
    const callbacks = [events.handler];
    for await (const event of graph.streamEvents(input, { ...options, callbacks, version: "v2" })) {
      if (event.tags?.includes("langsmith:hidden")) continue;
      if (event.event !== "on_chain_stream" || event.run_id !== runId) {
        if (this.#emitter.watched) this.#emitter.emit("events", "", events.encode(event));
      } else this.#chunk(this.#stored(event.data.chunk));
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
    this.#legacy?.step(ns);
    const shown = this.#asked.has("values") && this.#emitter.watched;
    const interrupts = interruptsOf(payload);
    if (interrupts !== undefined) {
      // An empty list is a breakpoint: nothing of the state has changed.
      if (interrupts.length > 0) this.#interrupted(ns, interrupts, shown);
      else if (ns === "") this.result.breakpoint = true;
      return;
    }
    if (ns === "") {
      this.#encoded = undefined;
      // The subgraphs of a superstep end with it.
      this.#subgraphs.clear();
    } else if (!shown) return;
    this.#placeOf(ns).values = payload;
    if (shown) this.#showValues(ns);
  }

  #interrupted(ns: string, interrupts: readonly Interrupt[], shown: boolean): void {
    if (ns !== "" && !shown) return;
    this.#placeOf(ns).interrupts.push(...interrupts);
    if (shown) this.#showValues(ns);
  }

  #placeOf(ns: string): Place {
    if (ns === "") return this.result;
    const known = this.#subgraphs.get(ns);
    if (known !== undefined) return known;
    const place = { values: undefined, interrupts: [] };
    this.#subgraphs.set(ns, place);
    return place;
  }

  /** The whole state, with the questions that have been asked since the graph was called. */
  #showValues(ns: string): void {
    const { values, interrupts } = this.#placeOf(ns);
    const text = ns === "" ? this.valuesText() : values === undefined ? undefined : encodeJson(values);
    if (interrupts.length > 0) this.#emitter.emit("values", ns, withInterrupts(text, encodeJson(interrupts)));
    else if (text !== undefined) this.#emitter.emit("values", ns, text);
  }

  #message(ns: string, payload: [unknown, JsonObject]): void {
    if (!this.#emitter.watched) return;
    const [message, metadata] = payload;
    const call = this.#calls.of(metadata);
    if (this.#legacy !== undefined) this.#legacy.add(ns, payload, call);
    else {
      const piece = JSON.stringify(pieceToWire(message, call.idOf(message)));
      this.#emitter.emit("messages", ns, `[${piece},${call.metadata}]`);
    }
  }
}

function encodeEvent(mode: string, payload: unknown): string {
  if (mode === "checkpoints") return encodeJson(checkpointToWire(payload as JsonObject));
  if (mode === "debug") return encodeJson(debugToWire(payload as JsonObject));
  if (mode === "tasks") return encodeJson(taskToWire(payload as JsonObject));
  return encodeJson(payload);
}
