import { describe, expect, it } from "bun:test";
import { createLogger } from "@fractal-agents/infra/logger";
import { RuntimeError } from "#core/errors";
import { onError } from "#routes/http";
import { Router } from "#routes/router";
import { type SystemDeps, systemRoutes } from "#routes/system";
import { Readiness, storageChecks } from "../../src/compose/readiness.ts";

/** The probes over a database that answers as `ping` says. */
function probes(ping: () => Promise<void>, writable: () => Promise<void> = async () => undefined) {
  const logged: string[] = [];
  const readiness = new Readiness(storageChecks(() => ({ ping, writable })));
  const app = new Router({ strict: false });
  app.onError(onError(createLogger({ level: "trace", json: true, write: (line) => logged.push(line) })));
  app.include(
    systemRoutes({ storage: { description: "sqlite x", ping }, readiness } as unknown as SystemDeps),
    () => true,
  );
  const get = async (path: string) => {
    const answer = await app.request(path);
    return { status: answer.status, body: await answer.json(), retry: answer.headers.get("Retry-After") };
  };
  return { readiness, get, logged };
}

const OK = { status: 200, body: { status: "ok" }, retry: null };
const not = (detail: string) => ({ status: 503, body: { detail }, retry: "1" });

describe("the probes", () => {
  it("are all well where the database answers, and ask it once for many", async () => {
    let asked = 0;
    const { get } = probes(async () => {
      asked += 1;
    });
    for (const path of ["/live", "/startup", "/ready", "/ready", "/ready"]) expect(await get(path)).toEqual(OK);
    expect(asked).toBe(1);
  });

  it("take requests away from a server whose database fails or does not answer, and let it live", async () => {
    const failing = probes(() => Promise.reject(new Error("gone")));
    expect(await failing.get("/ready")).toEqual(not("The database does not answer"));
    expect(await failing.get("/live")).toEqual(OK);
    const silent = probes(() => new Promise(() => undefined));
    expect(await silent.get("/ready")).toEqual(not("The database does not answer"));
    // Load balancers ask for ever: a line each would bury the log.
    expect([...failing.logged, ...silent.logged]).toEqual([]);
  });

  it("say why writes are refused, and that they are not answered", async () => {
    const refused = new RuntimeError("unavailable", "The disk that holds the data directory is full");
    const full = probes(
      async () => undefined,
      () => Promise.reject(refused),
    );
    expect(await full.get("/ready")).toEqual(not("The disk that holds the data directory is full"));
    const silent = probes(
      async () => undefined,
      () => new Promise(() => undefined),
    );
    expect(await silent.get("/ready")).toEqual(not("The database does not take writes"));
  });

  it("take requests away while the server stops, and while it has no lease", async () => {
    const { get, readiness } = probes(async () => undefined);
    readiness.leased = false;
    expect(await get("/ready")).toEqual(not("This process has lost its lease"));
    readiness.leased = true;
    expect(await get("/ready")).toEqual(OK);
    readiness.draining = true;
    expect(await get("/ready")).toEqual(not("The server is stopping"));
    expect(await get("/live")).toEqual(OK);
  });

  it("notice a stop that begins while the database is asked", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { get, readiness } = probes(() => promise);
    const asking = get("/ready");
    readiness.draining = true;
    resolve();
    expect(await asking).toEqual(not("The server is stopping"));
  });
});
