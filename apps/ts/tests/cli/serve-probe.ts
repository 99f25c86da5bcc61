// Serves a few answers and prints its port; the parent drives it by signals: SIGUSR2 ends the stream, SIGTERM stops. Runs under Bun and under Node.
import { ListenError, serve } from "../../src/platform/serve.ts";

const encoder = new TextEncoder();
let release: () => void = () => undefined;
const released = new Promise<void>((resolve) => {
  release = resolve;
});

async function answer(request: Request): Promise<Response> {
  const path = new URL(request.url).pathname;
  if (path === "/pid") return new Response(String(process.pid), { headers: { connection: "close" } });
  if (path === "/path") {
    const body = await request.text();
    // Not before the next turn of the event loop, as an answer that waits for a database.
    await new Promise((resolve) => setImmediate(resolve));
    return new Response(`${request.method} ${request.url} ${body}`);
  }
  if (path === "/throw") throw new Error("secret text");
  if (path !== "/stream") return new Response(`ok ${(await request.text()).length}`);
  server.noTimeout(request);
  return new Response(
    new ReadableStream({
      async start(controller) {
        controller.enqueue(encoder.encode("first "));
        await released;
        controller.enqueue(encoder.encode("last"));
        controller.close();
      },
    }),
  );
}

const port = Number(process.argv[2]);
const share = process.env.PROBE_SHARE as "first" | "join" | undefined;
const server = await serve({ fetch: answer, hostname: "127.0.0.1", port, share }).catch((error: unknown) => {
  process.stderr.write(`${error instanceof ListenError ? error.message : `unexpected ${String(error)}`}\n`);
  process.exit(69);
});

process.on("SIGUSR2", () => release());
process.on("SIGTERM", () => {
  server.stopListening();
  process.stdout.write("refusing\n");
  void server.close(AbortSignal.timeout(Number(process.argv[3] ?? 10_000))).then(() => {
    process.stdout.write("closed\n");
    process.exit(0);
  });
});
process.stdout.write(`${server.port} ${server.url}\n`);
