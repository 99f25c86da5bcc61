import { maskSecrets } from "@fractal-agents/infra/secrets";
import { encodeJson, pieceToWire } from "#core/graphs/wire";
import type { JsonObject } from "#schemas/common";

const CHAT_PIECE = "on_chat_model_stream";

/** An event of LangChain's own stream, version 2. */
export interface GraphEvent {
  event: string;
  run_id: string;
  tags?: string[];
  metadata?: JsonObject;
  data?: JsonObject;
}

/**
 * LangChain's events as the API shows them. LangChain.js does not say who called whom, so a callback handler notes it:
 * `parent_ids` are the callers of an event's run, the root first.
 */
export class GraphEvents {
  readonly #callers = new Map<string, readonly string[]>();
  readonly #messageIds = new Map<string, string>();

  /** Goes into `callbacks`, before LangChain adds its own handler: a call is noted before its first event is made. */
  readonly handler = {
    name: "fractal_call_tree",
    awaitHandlers: true,
    raiseError: false,
    ignoreLLM: false,
    ignoreChain: false,
    ignoreAgent: false,
    ignoreRetriever: false,
    ignoreCustomEvent: true,
    handleChainStart: this.#noteCall.bind(this),
    handleChatModelStart: this.#noteCall.bind(this),
    handleLLMStart: this.#noteCall.bind(this),
    handleToolStart: this.#noteCall.bind(this),
    handleRetrieverStart: this.#noteCall.bind(this),
  };

  /** JSON text of an event. */
  encode(given: GraphEvent): string {
    const { event, run_id, metadata, data } = given;
    const parent_ids = this.#callers.get(run_id) ?? [];
    const shown = encodeJson({
      ...given,
      ...(metadata !== undefined && { metadata: maskSecrets(metadata) }),
      ...(data !== undefined && { data: this.#dataToWire(given, data) }),
      parent_ids,
    });
    // Whatever it called has begun, and knows its callers.
    if (event.endsWith("_end")) this.#forget(run_id);
    return shown;
  }

  #dataToWire({ event, run_id }: GraphEvent, data: JsonObject): JsonObject {
    const { chunk } = data;
    if (typeof chunk !== "object" || chunk === null) return data;
    return { ...data, chunk: pieceToWire(chunk, event === CHAT_PIECE ? this.#messageId(run_id, chunk) : undefined) };
  }

  /** The id that LangChain will give the message: that of its first piece, else one of its own. */
  #messageId(runId: string, piece: { id?: string }): string {
    const id = this.#messageIds.get(runId) ?? piece.id ?? `run-${runId}`;
    this.#messageIds.set(runId, id);
    return id;
  }

  #forget(runId: string): void {
    this.#callers.delete(runId);
    this.#messageIds.delete(runId);
  }

  /** All start callbacks have the run third and its caller fourth. */
  #noteCall(...[, , runId, callerId]: unknown[]): void {
    if (typeof callerId !== "string") return;
    this.#callers.set(runId as string, [...(this.#callers.get(callerId) ?? []), callerId]);
  }
}
