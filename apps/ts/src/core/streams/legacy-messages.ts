import { encodeJson } from "#core/graphs/wire";
import type { JsonObject } from "#schemas/common";
import type { ModelCall } from "./model-calls.ts";

// biome-ignore lint/suspicious/noExplicitAny: a message of any copy of langchain-core
type Message = any;

interface Streamed {
  ns: string;
  node: unknown;
  /** What has come so far. */
  message: Message;
  open: boolean;
}

/**
 * The older `messages` mode: `messages/metadata` once per message, `messages/partial` with what has come
 * so far, `messages/complete` with the finished message. LangGraph does not say when a streamed message is finished; it
 * is when its node has given its update, or its step has ended.
 */
export class LegacyMessages {
  readonly #emit: (mode: string, ns: string, data: string) => void;
  readonly #announced = new Set<string>();
  readonly #streamed = new Map<string, Streamed>();

  constructor(emit: (mode: string, ns: string, data: string) => void) {
    this.#emit = emit;
  }

  add(ns: string, [message, metadata]: [Message, JsonObject], call: ModelCall): void {
    const id = call.idOf(message) ?? "";
    if (!this.#announced.has(id)) {
      this.#announced.add(id);
      this.#emit("messages/metadata", ns, `{${JSON.stringify(id)}:{"metadata":${call.metadata}}}`);
    }
    if (typeof message.concat !== "function") {
      this.#streamed.delete(id);
      this.#emit("messages/complete", ns, encodeJson([message]));
      return;
    }
    const earlier = this.#streamed.get(id);
    const whole = earlier === undefined ? message : earlier.message.concat(message);
    this.#streamed.set(id, { ns, node: metadata.langgraph_node, message: whole, open: true });
    this.#emit("messages/partial", ns, encodeJson([whole]));
  }

  /** A step of this namespace has ended: what was streamed in it, and below it, is whole. */
  step(ns: string): void {
    this.#complete((streamed) => ns === "" || streamed.ns === ns || streamed.ns.startsWith(`${ns}|`));
  }

  /** Nodes of this namespace have ended; others of the same step may go on. */
  nodes(ns: string, names: readonly string[]): void {
    this.#complete((streamed) => streamed.ns === ns && names.includes(String(streamed.node)));
  }

  #complete(ended: (streamed: Streamed) => boolean): void {
    for (const streamed of this.#streamed.values()) {
      if (!streamed.open || !ended(streamed)) continue;
      streamed.open = false;
      this.#emit("messages/complete", streamed.ns, encodeJson([streamed.message]));
    }
  }
}
