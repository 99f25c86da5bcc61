import type { Encoded } from "#core/checkpoints/repository";

/**
 * The small channel values of a checkpoint in one column: length of the index (4 bytes, little endian), the index as
 * JSON `[[channel, type, bytes], ...]`, then the values one after the other.
 */
const HEADER = 4;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const EMPTY = new Uint8Array(0);

type Index = [channel: string, type: string, bytes: number][];

export function packInline(values: Record<string, Encoded>): Uint8Array {
  const channels = Object.keys(values);
  if (channels.length === 0) return EMPTY;
  let size = 0;
  const index: Index = channels.map((channel) => {
    const { type, bytes } = values[channel] as Encoded;
    size += bytes.length;
    return [channel, type, bytes.length];
  });
  const head = encoder.encode(JSON.stringify(index));
  const packed = new Uint8Array(HEADER + head.length + size);
  new DataView(packed.buffer).setUint32(0, head.length, true);
  packed.set(head, HEADER);
  let at = HEADER + head.length;
  for (const channel of channels) {
    const { bytes } = values[channel] as Encoded;
    packed.set(bytes, at);
    at += bytes.length;
  }
  return packed;
}

export function unpackInline(packed: Uint8Array): Record<string, Encoded> {
  const values: Record<string, Encoded> = {};
  if (packed.length === 0) return values;
  const { index, start } = indexOf(packed);
  let at = start;
  for (const [channel, type, length] of index) {
    // Not an assignment: a channel may be called __proto__.
    Object.defineProperty(values, channel, {
      configurable: true,
      enumerable: true,
      writable: true,
      value: { type, bytes: packed.subarray(at, at + length) },
    });
    at += length;
  }
  return values;
}

/** Names of the channels without their values. */
export function inlineChannels(packed: Uint8Array): string[] {
  return packed.length === 0 ? [] : indexOf(packed).index.map(([channel]) => channel);
}

function indexOf(packed: Uint8Array): { index: Index; start: number } {
  const start = HEADER + new DataView(packed.buffer, packed.byteOffset, HEADER).getUint32(0, true);
  return { index: JSON.parse(decoder.decode(packed.subarray(HEADER, start))) as Index, start };
}
