import { encodeJson } from "#core/graphs/wire";
import type { JsonObject } from "#schemas/common";

// biome-ignore lint/suspicious/noExplicitAny: a message of any copy of langchain-core
type Message = any;

/**
 * The older `messages` mode (contract §8): `messages/metadata` once per message, `messages/partial` with what has come
 * so far, `messages/complete` with the finished message. LangGraph does not say when a streamed message is finished; it
 * is when another message of the same place begins or its step ends.
 */
export class LegacyMessages {
  readonly #emit: (mode: string, ns: string, data: string) => void;
  readonly #announced = new Set<string>();
  readonly #open = new Map<string, { ns: string; message: Message }>();

  constructor(emit: (mode: string, ns: string, data: string) => void) {
    this.#emit = emit;
  }

  add(ns: string, message: Message, metadata: JsonObject): void {
    const id: string = message.id ?? "";
    if (!this.#announced.has(id)) {
      this.#announced.add(id);
      this.#emit("messages/metadata", ns, encodeJson({ [id]: { metadata } }));
    }
    if (typeof message.concat !== "function") {
      this.#open.delete(id);
      this.#emit("messages/complete", ns, encodeJson([message]));
      return;
    }
    const earlier = this.#open.get(id);
    const whole = earlier === undefined ? message : earlier.message.concat(message);
    this.#open.set(id, { ns, message: whole });
    this.#emit("messages/partial", ns, encodeJson([whole]));
  }

  /** A step's result is here: what was streamed for it is whole. */
  step(mode: string): void {
    if (mode === "updates" || mode === "checkpoints") this.complete();
  }

  complete(): void {
    for (const { ns, message } of this.#open.values()) this.#emit("messages/complete", ns, encodeJson([message]));
    this.#open.clear();
  }
}
