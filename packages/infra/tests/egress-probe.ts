// Run by guarded-fetch.test.ts on each engine: calls a server of its own through the guard and prints what happened as JSON.
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createGuardedFetch } from "../src/egress/guarded-fetch.ts";
import { EgressRules } from "../src/egress/rules.ts";

const received: { method: string; url: string; host: string; type: string; body: string }[] = [];
const gone = Promise.withResolvers<void>();
const step = Promise.withResolvers<void>();

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = "";
  for await (const chunk of request) body += chunk;
  const { method = "", url = "", headers } = request;
  received.push({ method, url, host: headers.host ?? "", type: headers["content-type"] ?? "", body });
  if (url === "/moved") return void response.writeHead(307, { location: "http://169.254.169.254/" }).end();
  if (url === "/empty") return void response.writeHead(204).end();
  if (url === "/cookies") {
    response.setHeader("set-cookie", ["a=1", "b=2"]);
    return void response.writeHead(418, { "x-answer": "tea" }).end("short");
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write("data: one\n\n");
  if (url === "/endless") return void response.on("close", gone.resolve);
  // The second event is written only after the first has been read: an answer that is not streamed would never end.
  await step.promise;
  response.end("data: two\n\n");
}

const server = createServer((request, response) => void answer(request, response)).listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;

let resolved = 0;
/** Public for the first question, inside for the next. */
const rebinding = new EgressRules({ lookup: async () => (resolved++ === 0 ? ["93.184.216.34"] : ["127.0.0.1"]) });
const named = new EgressRules({ allow: ["model.example"], lookup: async () => ["127.0.0.1"] });
const call = createGuardedFetch(named);
const base = `http://model.example:${port}`;

async function failure(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return "no failure";
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
}

const streamed = await call(`${base}/stream?q=1`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: '{"a":"ü"}',
});
const events: string[] = [];
for await (const chunk of streamed.body ?? []) {
  events.push(new TextDecoder().decode(chunk));
  step.resolve();
}

const cookies = await call(new Request(`${base}/cookies`));
const empty = await call(`${base}/empty`);
const controller = new AbortController();
const endless = await call(`${base}/endless`, { signal: controller.signal });
const reader = endless.body?.getReader();
await reader?.read();
controller.abort(new Error("enough"));
const cut = await failure((async () => reader?.read())());
await gone.promise;

await rebinding.addresses(new URL("https://evil.example/"));
const result = {
  engine: process.versions.bun === undefined ? "node" : "bun",
  streamed: [streamed.status, streamed.headers.get("content-type"), events],
  cookies: [cookies.status, cookies.headers.get("x-answer"), cookies.headers.getSetCookie(), await cookies.text()],
  empty: [empty.status, await empty.text()],
  cut,
  aborted: await failure(call(`${base}/never`, { signal: AbortSignal.abort(new Error("before")) })),
  redirect: await failure(call(`${base}/moved`)),
  manual: (await call(`${base}/moved`, { redirect: "manual" })).status,
  refused: await failure(createGuardedFetch(new EgressRules())(`http://127.0.0.1:${port}/refused`)),
  rebound: await failure(createGuardedFetch(rebinding)("https://evil.example/rebound")),
  received: received.map((request) => ({ ...request, host: request.host.replace(String(port), "PORT") })),
};
process.stdout.write(`${JSON.stringify(result)}\n`);
server.closeAllConnections();
server.close();
