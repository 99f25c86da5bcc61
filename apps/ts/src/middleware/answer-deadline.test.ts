import { describe, expect, it } from "bun:test";
import { createLogger } from "@fractal-agents/infra/logger";
import { Hono } from "hono";
import { onError } from "#routes/http";
import type { Env } from "#routes/router";
import { answerDeadline } from "./answer-deadline.ts";

describe("A request that is not answered", () => {
  const logger = createLogger({ level: "silent", json: true, write: () => undefined });
  const gate = Promise.withResolvers<void>();
  const app = new Hono<Env>();
  app.onError(onError(logger));
  app.use("*", answerDeadline(20));
  app.all("*", async (c) => {
    if (c.req.path !== "/fast") await gate.promise;
    return c.json({ path: c.req.path });
  });
  const ask = async (path: string, init?: RequestInit) => app.request(path, init);

  it("gets 503 and when to try again, also when the handler ends later", async () => {
    const late = await ask("/threads/1");
    expect([late.status, late.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(await late.json()).toEqual({ detail: "The request took too long; it may yet take effect" });
    expect((await ask("/threads", { method: "POST", body: "{}" })).status).toBe(503);
    expect((await ask("/fast")).status).toBe(200);
  });

  it("goes on when it waits for a run, streams, or has a large body on its way", async () => {
    const waiting = [
      ask("/runs/wait", { method: "POST" }),
      ask("/threads/1/runs/2/join"),
      ask("/threads/1/runs/2/stream?stream_mode=values"),
      ask("/store/items", { method: "PUT", headers: { "content-length": "2000000" } }),
      ask("/store/items", { method: "PUT", headers: { "transfer-encoding": "chunked" } }),
    ];
    // One that began after them is over.
    expect((await ask("/threads/1")).status).toBe(503);
    gate.resolve();
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  });
});
