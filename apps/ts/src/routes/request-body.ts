import { RuntimeError } from "#core/errors";
import { parseJsonBody } from "./json-text.ts";

/**
 * The JSON of a request, whatever its content type says. No body at all counts as `{}`: POST /copy and
 * /cancel come without one, and a schema then names the fields that are missing.
 * @param limit Bytes; a larger body is refused without reading it to its end.
 */
export async function readJson(request: Request, limit: number): Promise<unknown> {
  const text = await readText(request, limit);
  return text === "" ? {} : parseJsonBody(text);
}

async function readText(request: Request, limit: number): Promise<string> {
  // A declared length was checked by the middleware, and the HTTP parser holds the client to it.
  const reading = request.headers.has("content-length") ? request.text() : readChunks(request, limit);
  return reading.catch((cause: unknown) => {
    if (cause instanceof RuntimeError) throw cause;
    // The client broke its upload off: nothing is wrong here, and nobody reads the answer.
    throw new RuntimeError("bad_request", "The request body could not be read", { cause });
  });
}

async function readChunks({ body }: Request, limit: number): Promise<string> {
  if (body === null) return "";
  const decoder = new TextDecoder();
  let size = 0;
  let text = "";
  // Leaving the loop by an error cancels the stream.
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > limit) throw bodyTooLarge(limit);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

export function bodyTooLarge(limit: number): RuntimeError {
  return new RuntimeError("too_large", `The request body is larger than ${limit} bytes`);
}
