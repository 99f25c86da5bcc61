import { maskSecrets } from "@fractal-agents/infra/secrets";
import { encodeJson } from "#core/graphs/wire";
import type { JsonObject } from "#schemas/common";

// biome-ignore lint/suspicious/noExplicitAny: a message of any copy of langchain-core
type Message = any;

/** What the messages of one model call, or of one node's output, share. */
export class ModelCall {
  readonly #metadata: JsonObject;
  #text: string | undefined;
  #id: string | undefined;

  constructor(metadata: JsonObject) {
    this.#metadata = metadata;
  }

  /** JSON text of the metadata. */
  get metadata(): string {
    this.#text ??= encodeJson(maskSecrets(this.#metadata));
    return this.#text;
  }

  /**
   * The id under which a message stands in the state. A call streams one message, and LangChain keeps the id of its first
   * piece: a provider may name it later.
   */
  idOf(message: Message): string | undefined {
    const { id } = message;
    if (id === this.#id || typeof message.concat !== "function" || this.#isNodeOutput()) return id;
    this.#id ??= id;
    return this.#id;
  }

  /** A node may return several messages, pieces too. */
  #isNodeOutput(): boolean {
    return this.#metadata.name !== undefined && this.#metadata.name === this.#metadata.langgraph_node;
  }
}

/** The calls of a run by their metadata: langgraph makes one object a call. */
export class ModelCalls {
  readonly #calls = new WeakMap<JsonObject, ModelCall>();
  #latest: { metadata: JsonObject; call: ModelCall } | undefined;

  of(metadata: JsonObject): ModelCall {
    if (this.#latest?.metadata === metadata) return this.#latest.call;
    const call = this.#calls.get(metadata) ?? new ModelCall(metadata);
    this.#calls.set(metadata, call);
    this.#latest = { metadata, call };
    return call;
  }
}
