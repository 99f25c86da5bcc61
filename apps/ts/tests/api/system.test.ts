import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { existsSync } from "node:fs";
import { storageUnderTest } from "../servers/storage.ts";
import { Api } from "./api.ts";

/** Installed on demand, with the other conformance suites: npm ci --prefix apps/ts/tests/conformance */
const validator = new URL("../conformance/node_modules/@seriousme/openapi-schema-validator/index.js", import.meta.url);
const METHODS = new Set(["GET", "POST", "PUT", "PATCH", "DELETE"]);

describe("System", () => {
  let api: Api;
  beforeAll(async () => {
    api = await Api.start();
  });
  afterAll(() => api[Symbol.asyncDispose]());

  it("says that it lives, and that its database answers", async () => {
    expect((await api.get("/ok")).body).toEqual({ ok: true });
    expect((await api.get("/ok?check_db=1")).body).toEqual({ ok: true });
    expect((await api.get("/health")).body).toEqual({ status: "ok", persistence: storageUnderTest });
    expect((await api.get("/ok?check_db=perhaps")).body).toEqual({ detail: "check_db: must be true or false" });
  });

  it("answers 503 with Retry-After when the database does not answer, but stays alive", async () => {
    await using broken = await Api.start();
    Object.assign(broken.storage, { ping: () => Promise.reject(new Error("gone")) });
    const { status, body, headers } = await broken.get("/ok?check_db=true");
    expect([status, body]).toEqual([503, { detail: "The database does not answer" }]);
    expect(headers.get("Retry-After")).toBe("1");
    expect((await broken.get("/ok")).status).toBe(200);
  });

  it("tells clients what it is, with the keys of LangGraph Platform and of the original", async () => {
    const { body } = await api.get("/info");
    expect(body).toMatchObject({
      service: "fractal-agents-runtime",
      version: "0.0.0",
      context: "js",
      graphs: ["agent"],
      graph_details: [{ graph_id: "agent", assistant_id: "fe096781-5601-53d2-b2f6-0d3403f7e9ca", error: null }],
      model: { fake: true, used: true },
      capabilities: { streaming: true, store: true },
      flags: { assistants: true, langsmith: false },
      host: { kind: "self-hosted", project_id: null, host_revision_id: null, tenant_id: null },
      config: { database_configured: false, llm_configured: false },
    });
    expect(body.langgraph_js_version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(body.langgraph_py_version).toBe(body.langgraph_js_version);
  });

  it("answers a program at / with JSON and a browser with the page", async () => {
    const program = await api.get("/");
    expect(program.body).toMatchObject({ service: "fractal-agents-runtime", version: "0.0.0" });
    const browser = await api.call("GET", "/", { headers: { Accept: "text/html,application/xhtml+xml,*/*;q=0.8" } });
    expect(browser.headers.get("Content-Type")).toBe("text/html; charset=utf-8");
    expect(browser.headers.get("Vary")).toContain("Accept");
    const policy = browser.headers.get("Content-Security-Policy") ?? "";
    expect(policy).toStartWith("default-src 'none'");
    expect(policy).not.toContain("unsafe");
    // The two addresses are of the SVG namespace in the icon and of nothing else.
    expect(browser.text.match(/(src|href)="(https?:)?\/\//g)).toBeNull();
  });

  it("switches parts of the API off, but never /ok", async () => {
    const { createApp } = await import("#app");
    const { createLogger } = await import("@fractal-agents/infra/logger");
    const services = {} as Parameters<typeof createApp>[0];
    const bare = { ...services, facts: {}, graphs: {}, storage: { description: "x", ping: async () => undefined } };
    const logger = createLogger({ level: "silent", json: true, write: () => undefined });
    const app = createApp(bare as typeof services, { logger, disabled: new Set(["store", "meta", "assistants"]) });
    const paths = new Set(app.specs.map(({ path }) => path));
    expect([...paths].filter((path) => /^\/(store|assistants|info|docs|openapi|$)/.test(path))).toEqual([]);
    expect(paths.has("/ok") && paths.has("/threads")).toBe(true);
  });

  it("promises in /info only what is served", async () => {
    const http = { disable_store: true, disable_assistants: true, disable_runs: true };
    await using partial = await Api.start({ LANGGRAPH_HTTP: JSON.stringify(http) });
    const { body } = await partial.get("/info");
    const off = { assistants: false, runs: false, streaming: false, store: false };
    expect(body).toMatchObject({ capabilities: { ...off, threads: true }, flags: { assistants: false } });
    for (const path of ["/store/items?key=a&namespace=b", "/assistants/fe096781-5601-53d2-b2f6-0d3403f7e9ca"]) {
      expect((await partial.get(path)).status).toBe(404);
    }
    await using worker = await Api.start({ FRACTAL_ROLE: "worker", DATABASE_URL: "postgres://nobody@nowhere/x" });
    expect((await worker.get("/info")).body.capabilities).toMatchObject({ ...off, threads: false });
  });

  describe("OpenAPI document", () => {
    it("holds every registered route, and no other", async () => {
      const { body } = await api.get("/openapi.json");
      expect(body.openapi).toBe("3.1.0");
      const documented = Object.entries(body.paths as Record<string, object>).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
      );
      const registered = api.app.routes
        .filter(({ method }) => METHODS.has(method))
        .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`);
      expect(registered.length).toBeGreaterThan(45);
      expect(documented.toSorted()).toEqual([...new Set(registered)].toSorted());
      expect(registered.length).toBe(documented.length);
    });

    it("holds nothing that the README says is not there yet", async () => {
      const readme = await Bun.file(new URL("../../../../README.md", import.meta.url)).text();
      const rows = readme.split("\n").filter((line) => line.includes("they answer 501"));
      const missing = rows.flatMap((row) => [...row.matchAll(/`([A-Z]+) (\/[^`]+)`/g)]);
      expect(missing.length).toBeGreaterThan(0);
      const { body } = await api.get("/openapi.json");
      for (const [, method = "", path = ""] of missing) {
        expect([path, body.paths[path]?.[method.toLowerCase()]]).toEqual([path, undefined]);
        const concrete = path.replace("{thread_id}", "11111111-1111-4111-8111-111111111111");
        const { status } = await api.call(method, concrete, { body: method === "GET" ? undefined : {} });
        expect([path, status]).toEqual([path, 501]);
      }
    });

    it("gives every operation an id, a summary, one of the listed tags, and an auth action", async () => {
      const { body } = await api.get("/openapi.json");
      const operations = Object.values(body.paths).flatMap((methods) => Object.values(methods as object));
      const tags = new Set(body.tags.map((tag: { name: string }) => tag.name));
      for (const operation of operations) {
        expect(operation.summary).toBeString();
        expect(operation["x-auth-action"]).toBeString();
        expect(operation.tags.every((tag: string) => tags.has(tag))).toBe(true);
      }
      expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    });

    it("is served from our own files as a readable page", async () => {
      const { status, headers, text } = await api.get("/docs");
      expect([status, headers.get("Content-Type")]).toEqual([200, "text/html; charset=utf-8"]);
      expect(text).toContain('<input id="find"');
      expect(text.match(/(src|href)="(https?:)?\/\//g)).toBeNull();
    });

    it.skipIf(!existsSync(validator))("is accepted by an independent validator", async () => {
      const { Validator } = await import(validator.href);
      const result = await new Validator().validate((await api.get("/openapi.json")).body);
      expect(result.errors).toBeUndefined();
      expect(result.valid).toBe(true);
    });
  });
});
