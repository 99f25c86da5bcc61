import { expect, it } from "bun:test";
import { Instance } from "../chaos/instance.ts";
import { PostgresServer, postgresAvailable } from "../servers/postgres.ts";

/** After this long without a byte the server cuts a connection. */
const CUT_MS = 60_000;
const missing = await postgresAvailable();

/** The server as people run it, its connections open, and a database that neither answers nor breaks off. */
it.skipIf(missing !== undefined)(
  `While the database is silent every route answers 503 with Retry-After, in time (${missing ?? "found"})`,
  async () => {
    await using postgres = await PostgresServer.start();
    await using server = new Instance("server", { env: { DATABASE_URL: await postgres.createDatabase() } });
    await server.start();
    const send = (method: string, path: string, body?: object) =>
      fetch(server.url + path, {
        method,
        ...(body && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      });
    const { thread_id } = (await (await send("POST", "/threads", {})).json()) as { thread_id: string };
    const thread = `/threads/${thread_id}`;
    const run = { assistant_id: "steps", input: {} };
    const requests: Parameters<typeof send>[] = [
      ["GET", thread],
      ["GET", `${thread}/state`],
      ["POST", `${thread}/history`, {}],
      ["POST", `${thread}/state`, { values: {} }],
      ["POST", "/threads/search", {}],
      ["POST", "/threads", {}],
      ["POST", `${thread}/copy`, {}],
      ["POST", `${thread}/runs`, run],
      ["POST", `${thread}/runs/wait`, run],
      ["POST", `${thread}/runs/stream`, run],
      ["POST", "/runs/wait", run],
      ["GET", `${thread}/runs/${thread_id}/stream`],
      ["POST", `${thread}/runs/${thread_id}/cancel`],
      ["PUT", "/store/items", { namespace: ["a"], key: "k", value: {} }],
      ["DELETE", thread],
    ];
    // The pool is full of connections that are idle.
    await Promise.all(Array.from({ length: 20 }, () => send("GET", thread).then((answer) => answer.text())));
    await postgres.pause();
    const silent = async (request: Parameters<typeof send>) => {
      const began = performance.now();
      const told = await send(...request).then(
        async (answer) => `${answer.status} ${answer.headers.get("retry-after")} ${await answer.text()}`,
        (error: Error) => `no answer: ${error.message}`,
      );
      return [request.slice(0, 2).join(" "), told, performance.now() - began] as const;
    };
    // More than there are connections, so some wait for one first.
    const answers = await Promise.all(requests.map(silent));
    const later = await Promise.all(requests.map(silent));
    await postgres.resume();
    for (const [what, told, ms] of [...answers, ...later]) {
      expect([what, told]).toEqual([what, expect.stringMatching(/^503 1 \{"detail":/)]);
      expect(ms).toBeLessThan(CUT_MS);
    }
    while ((await send("GET", thread)).status !== 200);
  },
  200_000,
);
