import type { IncomingMessage, RequestOptions } from "node:http";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP } from "node:net";
import { Readable } from "node:stream";
import { EgressError, type EgressRules } from "./rules.ts";

export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const NO_BODY = new Set([204, 205, 304]);
/** Nothing was sent, so the next address of the host may be tried. */
const UNREACHED = new Set([
  "ECONNREFUSED",
  "ConnectionRefused",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EADDRNOTAVAIL",
  "ETIMEDOUT",
]);

/**
 * `fetch` for URLs that came with a request: every call resolves the host anew, checks all its addresses, and connects to
 * a checked address over a connection of its own, so a name that changes its address in between (DNS rebinding) gains
 * nothing. Built on node:http because Bun's fetch takes no connector. Redirects are not followed. Bodies of requests are
 * sent whole, those of answers are streamed. Throws EgressError.
 */
export function createGuardedFetch(rules: EgressRules): Fetch {
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined);
    const addresses = await rules.addresses(url);
    signal?.throwIfAborted();
    const request = new Request(input, init);
    const body = request.body === null ? undefined : Buffer.from(await request.arrayBuffer());
    const headers: Record<string, string> = { ...Object.fromEntries(request.headers), host: url.host };
    // What is not asked for need not be unpacked.
    headers["accept-encoding"] = "identity";
    if (body !== undefined) headers["content-length"] = String(body.length);
    const call = { url, method: request.method, headers, body, signal };
    const answer = await firstReached(addresses, (address) => send(call, address));
    return toResponse(answer, { url, redirect: init?.redirect ?? request.redirect, signal });
  };
}

interface Call {
  url: URL;
  method: string;
  headers: Record<string, string>;
  body: Buffer | undefined;
  signal: AbortSignal | undefined;
}

async function firstReached<T>(addresses: readonly string[], reach: (address: string) => Promise<T>): Promise<T> {
  let failure: unknown;
  for (const address of addresses) {
    try {
      return await reach(address);
    } catch (error) {
      if (!UNREACHED.has((error as NodeJS.ErrnoException).code ?? "")) throw error;
      failure = error;
    }
  }
  throw failure;
}

function send({ url, method, headers, body, signal }: Call, address: string): Promise<IncomingMessage> {
  const secure = url.protocol === "https:";
  const name = url.hostname.replace(/\.$/, "");
  const options: RequestOptions & { servername?: string } = {
    host: address,
    port: url.port || (secure ? 443 : 80),
    method,
    path: url.pathname + url.search,
    headers,
    agent: false,
    // The certificate must be that of the name.
    ...(secure && isIP(name.replace(/^\[(.*)\]$/, "$1")) === 0 && { servername: name }),
  };
  return new Promise((resolve, reject) => {
    const sent = (secure ? httpsRequest : httpRequest)(options);
    const abort = () => {
      reject(signal?.reason);
      sent.destroy();
    };
    signal?.addEventListener("abort", abort, { once: true });
    sent.once("response", (answer) => {
      signal?.removeEventListener("abort", abort);
      // The stream of the body passes it on to its reader; where there is none, nobody is left to be told.
      answer.on("error", () => undefined);
      resolve(answer);
    });
    sent.on("error", (error) => {
      signal?.removeEventListener("abort", abort);
      reject(error);
    });
    sent.end(body);
  });
}

function toResponse(
  answer: IncomingMessage,
  call: { url: URL; redirect: RequestRedirect; signal: AbortSignal | undefined },
): Response {
  const { statusCode: status = 502, statusMessage: statusText = "", rawHeaders } = answer;
  if (REDIRECTS.has(status) && call.redirect !== "manual") {
    answer.destroy();
    throw new EgressError(
      `${call.url.origin} answers with a redirect, which the server does not follow; give the final address`,
    );
  }
  const headers = new Headers();
  for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i] as string, rawHeaders[i + 1] as string);
  if (NO_BODY.has(status)) {
    answer.resume();
    return new Response(null, { status, statusText, headers });
  }
  const abort = () => answer.destroy(call.signal?.reason as Error);
  call.signal?.addEventListener("abort", abort, { once: true });
  answer.once("close", () => call.signal?.removeEventListener("abort", abort));
  return new Response(Readable.toWeb(answer) as unknown as ReadableStream<Uint8Array>, { status, statusText, headers });
}
