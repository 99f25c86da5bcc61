import type { Encoded } from "#core/checkpoints/repository";
import { learnClasses, type MessageClasses } from "./messages.ts";
import { prepare, Unstorable } from "./prepare.ts";
import { revive } from "./revive.ts";

/** The serializer of the graph's own copy of langgraph. */
export interface Serde {
  dumpsTyped(value: unknown): Promise<[string, Uint8Array]>;
  loadsTyped(type: string, data: Uint8Array | string): Promise<unknown>;
}

const utf8 = new TextEncoder();
const text = new TextDecoder();

function unstorable(channel: string, why: string): TypeError {
  return new TypeError(`The value of channel "${channel}" cannot be stored: ${why}`);
}

/**
 * Values in the records of the graph's serializer, without its cost, and exact: plain data that looks like such a record
 * is escaped, where the serializer would run it, drop it, or fail.
 */
export class Codec {
  readonly #serde: Serde;
  #classes: MessageClasses | undefined;
  #learning: Promise<MessageClasses> | undefined;

  constructor(serde: Serde) {
    this.#serde = serde;
  }

  /**
   * The value is read before this returns, so it may change afterwards. Throws a TypeError, which names the channel, for
   * what JSON cannot hold (BigInt, a function), and the serializer would replace by a text or by nothing without a word.
   */
  encode(value: unknown, channel: string): Encoded {
    if (value instanceof Uint8Array) return { type: "bytes", bytes: new Uint8Array(value) };
    try {
      const json = JSON.stringify(prepare(value));
      if (json !== undefined) return { type: "json", bytes: utf8.encode(json) };
    } catch (error) {
      if (error instanceof Unstorable) throw unstorable(channel, error.message);
      throw error;
    }
    // What JSON leaves out, left out alone, is no JSON text: nothing could read the checkpoint again.
    throw unstorable(channel, "it is a function, a symbol or the like");
  }

  /** A fresh value each time. */
  decode(encoded: Encoded): unknown | Promise<unknown> {
    if (encoded.type !== "json") {
      // A copy: the bytes may be kept for other readers.
      const bytes = encoded.type === "bytes" ? new Uint8Array(encoded.bytes) : encoded.bytes;
      return this.#serde.loadsTyped(encoded.type, bytes);
    }
    const json = text.decode(encoded.bytes);
    if (!json.includes('"lc":')) return JSON.parse(json);
    const classes = this.#classes;
    if (classes !== undefined) return this.#revive(json, classes);
    return this.#learn().then((learned) => this.#revive(json, learned));
  }

  #learn(): Promise<MessageClasses> {
    this.#learning ??= learnClasses(this.#serde).then((classes) => {
      this.#classes = classes;
      return classes;
    });
    return this.#learning;
  }

  #revive(json: string, classes: MessageClasses): unknown | Promise<unknown> {
    return revive(json, classes, (envelope) => this.#serde.loadsTyped("json", JSON.stringify(envelope)));
  }
}

const codecs = new WeakMap<Serde, Codec>();

/** One codec per serializer, so that its message classes are learned once. */
export function codecOf(serde: Serde): Codec {
  let codec = codecs.get(serde);
  if (codec === undefined) {
    codec = new Codec(serde);
    codecs.set(serde, codec);
  }
  return codec;
}
