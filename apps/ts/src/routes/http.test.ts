import { expect, it } from "bun:test";
import { createLogger } from "@fractal-agents/infra/logger";
import { RuntimeError } from "#core/errors";
import { onError } from "./http.ts";
import { Router } from "./router.ts";

it("an outage that every request meets is one line of the log, and 503 to each; another fault is a line each", async () => {
  const lines: string[] = [];
  const app = new Router({ strict: false });
  app.onError(onError(createLogger({ level: "warn", json: true, write: (line) => void lines.push(line) })));
  app.get("/full", () => {
    throw new RuntimeError("unavailable", "The disk of the database is full; nothing was written");
  });
  app.get("/bug", () => {
    throw new Error("a bug");
  });
  for (let i = 0; i < 50; i++) expect((await app.request("/full")).status).toBe(503);
  expect(lines).toHaveLength(1);
  for (let i = 0; i < 3; i++) expect((await app.request("/bug")).status).toBe(500);
  expect(lines).toHaveLength(4);
});
