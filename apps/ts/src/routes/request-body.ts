import { isUtf8 } from "node:buffer";
import { RuntimeError } from "#core/errors";
import { INVALID_JSON, parseJsonBody } from "./json-text.ts";
import type { Path } from "./stored-paths.ts";

export interface BodyRules {
  /** Bytes; a larger body is refused without reading it to its end. */
  limit: number;
  /** Whether it may be missing, and then counts as `{}`. */
  optional: boolean;
  /** Where the values stand that are only stored. */
  stored: readonly Path[];
}

/** The JSON of a request, whatever its content type says. */
export async function readJson(request: Request, { limit, optional, stored }: BodyRules): Promise<unknown> {
  const text = decode(await readBytes(request, limit));
  if (text !== "") return parseJsonBody(text, stored);
  if (optional) return {};
  throw new RuntimeError("invalid", `${INVALID_JSON}: there is none`);
}

async function readBytes(request: Request, limit: number): Promise<Uint8Array> {
  // A declared length was checked by the middleware, and the HTTP parser holds the client to it.
  const declared = request.headers.has("content-length");
  const reading = declared
    ? request.arrayBuffer().then((buffer) => new Uint8Array(buffer))
    : readChunks(request, limit);
  return reading.catch((cause: unknown) => {
    if (cause instanceof RuntimeError) throw cause;
    // The client broke its upload off: nothing is wrong here, and nobody reads the answer.
    throw new RuntimeError("bad_request", "The request body could not be read", { cause });
  });
}

async function readChunks({ body }: Request, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop by an error cancels the stream.
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    if (size > limit) throw bodyTooLarge(limit);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/** Leaves out a byte order mark. */
const utf8 = new TextDecoder();

/** A decoder alone would put U+FFFD in place of what is no UTF-8, and store that. */
function decode(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return utf8.decode(bytes);
  throw new RuntimeError("invalid", `body: byte ${firstInvalid(bytes)} is not part of valid UTF-8`);
}

function firstInvalid(bytes: Uint8Array): number {
  for (let at = 0; ; ) {
    const length = lengthOf(bytes[at] ?? 0);
    if (length === 0 || !isUtf8(bytes.subarray(at, at + length))) return at;
    at += length;
  }
}

/** Bytes of a character by its first one; 0: none begins with it. */
function lengthOf(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

export function bodyTooLarge(limit: number): RuntimeError {
  return new RuntimeError("too_large", `The request body is larger than ${limit} bytes`);
}
