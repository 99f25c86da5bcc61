export interface ServeOptions {
  fetch(request: Request): Response | Promise<Response>;
  hostname: string;
  /** 0 takes a free port. */
  port: number;
  /**
   * Other processes listen on the same port, and the system spreads the connections over them (Linux). The "first" of
   * them makes sure that nobody else is there; those that "join" do not ask.
   */
  share?: "first" | "join" | undefined;
}

/** One HTTP server, the same on Bun and on Node. The size of bodies is the app's business on both. */
export interface HttpServer {
  /** Without a slash at the end; a wildcard address is shown as localhost. */
  readonly url: string;
  readonly port: number;
  /** New connections are refused from here on; requests under way go on. */
  stopListening(): void;
  /** Ends when the requests under way have ended; those that are left when `signal` aborts are cut. */
  close(signal: AbortSignal): Promise<void>;
  /** For streams and other answers that may be silent for long: takes away the idle limit of this request. */
  noTimeout(request: Request): void;
}

/** The address cannot be listened on; `message` is for the person at the terminal. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/** Answers that Node is sending: there an answer whose body fails would be ended well, as if it were complete. */
const sending = new WeakMap<Request, { destroy(): unknown }>();

/**
 * Breaks off the connection of a request whose answer is not complete. False where the engine does that by itself when the
 * body fails (Bun).
 */
export function breakOff(request: Request): boolean {
  const answer = sending.get(request);
  answer?.destroy();
  return answer !== undefined;
}

/** Seconds without a byte in either direction after which a connection is cut, unless its request asked otherwise. */
const IDLE_SECONDS = 60;

export async function serve(options: ServeOptions): Promise<HttpServer> {
  try {
    // With a shared port the system lets any process of this user in, also that of another server.
    if (options.share === "first" && options.port !== 0) await refuseTaken(options);
    return "Bun" in globalThis ? serveBun(options) : await serveNode(options);
  } catch (error) {
    throw listenError(error, options);
  }
}

async function refuseTaken({ hostname, port }: ServeOptions): Promise<void> {
  const { createServer } = await import("node:net");
  const { once } = await import("node:events");
  const probe = createServer().listen(port, hostname);
  await once(probe, "listening");
  probe.close();
  await once(probe, "close");
}

/** Host of the requests that name none: HTTP/1.0 knows no such header, and probes of load balancers still speak it. */
const NO_HOST = "localhost";

function serveBun(options: ServeOptions): HttpServer {
  /** Requests of Bun behind those that were made whole. */
  const originals = new WeakMap<Request, Request>();
  const server = Bun.serve({
    hostname: options.hostname,
    port: options.port,
    reusePort: options.share !== undefined,
    fetch: (request) => {
      // Without a host that fits into an address, Bun gives the path alone.
      if (!request.url.startsWith("/")) return options.fetch(request);
      if (request.headers.get("host")) return new Response('{"detail":"Invalid Host header"}', BAD_REQUEST);
      const { method, headers, body, signal } = request;
      const whole = new Request(`http://${NO_HOST}${request.url}`, { method, headers, body, signal });
      originals.set(whole, request);
      return options.fetch(whole);
    },
    idleTimeout: IDLE_SECONDS,
    // Bun would answer larger bodies by itself, without our error text; the app refuses them by their declared length.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    // The app has its own error boundary; this one keeps Bun's page with the source code of the error off the wire.
    error: () => new Response('{"detail":"Internal server error"}', { status: 500, headers: JSON_TYPE }),
  });
  const port = server.port ?? options.port;
  let drained: Promise<void> | undefined;
  const stopListening = () => {
    drained ??= Promise.resolve(server.stop());
  };
  return {
    url: urlOf(options.hostname, port),
    port,
    stopListening,
    async close(signal) {
      stopListening();
      await Promise.race([drained, aborted(signal)]);
      await server.stop(true);
    },
    noTimeout: (request) => server.timeout(originals.get(request) ?? request, 0),
  };
}

const JSON_TYPE = { "content-type": "application/json" };
const BAD_REQUEST = { status: 400, headers: JSON_TYPE };

async function serveNode(options: ServeOptions): Promise<HttpServer> {
  const { createAdaptorServer } = await import("@hono/node-server");
  const server = createAdaptorServer({
    fetch: (request, { outgoing }) => {
      sending.set(request, outgoing);
      return options.fetch(request);
    },
    hostname: NO_HOST,
    // The global Request and Response stay Node's own: user graphs see what they expect.
    overrideGlobalObjects: false,
  }) as import("node:http").Server;
  server.keepAliveTimeout = IDLE_SECONDS * 1_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    const reusePort = options.share !== undefined;
    server.listen({ port: options.port, host: options.hostname, reusePort }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  let drained: Promise<void> | undefined;
  const stopListening = () => {
    drained ??= closeServer(server);
  };
  return {
    url: urlOf(options.hostname, port),
    port,
    stopListening,
    async close(signal) {
      stopListening();
      await Promise.race([drained, aborted(signal)]);
      server.closeAllConnections();
      await drained;
    },
    // Node cuts connections only between requests and while a request is being received, never a silent answer.
    noTimeout: () => undefined,
  };
}

/** Node closes the connections that are idle now; one whose answer ends later would stay open for its next request. */
function closeServer(server: import("node:http").Server): Promise<void> {
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  return new Promise((resolve) => {
    server.close(() => {
      clearInterval(sweep);
      resolve();
    });
  });
}

export function urlOf(hostname: string, port: number): string {
  const host = hostname === "0.0.0.0" || hostname === "::" ? "localhost" : hostname;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** The sentence for the person at the terminal, where the fault is the address; else the error itself. */
export function listenError(error: unknown, { hostname, port }: Pick<ServeOptions, "hostname" | "port">): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const cause = { cause: error };
  switch (code) {
    case "EADDRINUSE":
      return new ListenError(
        `Port ${port} on ${hostname} is in use. Stop what listens there, or choose another: --port ${port < 65_535 ? port + 1 : 3000}, or --port 0 for any free one.`,
        cause,
      );
    case "EACCES":
      return new ListenError(
        `No permission to listen on port ${port} of ${hostname}. Ports below 1024 need one.`,
        cause,
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new ListenError(`This machine has no address "${hostname}" to listen on.`, cause);
    default:
      return error;
  }
}
