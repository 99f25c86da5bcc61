import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { connect } from "node:net";
import { Router, route, router } from "#routes/router";
import { Api } from "./api.ts";

describe("HTTP edge", () => {
  let api: Api;
  beforeAll(async () => {
    api = await Api.start({ FRACTAL_MAX_BODY_MB: "1" });
  });
  afterAll(() => api[Symbol.asyncDispose]());

  /** One raw HTTP/1.1 exchange: for bytes that fetch would not send. */
  function raw(request: string): Promise<string> {
    const { hostname, port } = new URL(api.url);
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => socket.write(request));
      let answer = "";
      socket.on("data", (chunk) => {
        answer += chunk.toString();
      });
      socket.on("end", () => resolve(answer));
      socket.on("error", reject);
    });
  }

  describe("request ids", () => {
    it("echoes the caller's id and makes one where none came", async () => {
      const given = await api.call("GET", "/ok", { headers: { "X-Request-ID": "abc-123" } });
      expect(given.headers.get("X-Request-ID")).toBe("abc-123");
      expect((await api.get("/ok")).headers.get("X-Request-ID")).toMatch(/^[0-9a-f-]{36}$/);
      const odd = await api.call("GET", "/ok", { headers: { "X-Request-ID": "a b\tc" } });
      expect(odd.headers.get("X-Request-ID")).toMatch(/^[0-9a-f-]{36}$/);
    });

    it("puts one on errors too", async () => {
      expect((await api.get("/nothing")).headers.get("X-Request-ID")).not.toBeNull();
      expect((await api.post("/threads", "{")).headers.get("X-Request-ID")).not.toBeNull();
    });
  });

  describe("CORS", () => {
    const local = "http://localhost:5173";
    const origin = { Origin: local };

    it("lets pages of this machine read the headers that clients need", async () => {
      const { headers } = await api.call("GET", "/ok", { headers: origin });
      expect(headers.get("Access-Control-Allow-Origin")).toBe(local);
      const exposed = headers.get("Access-Control-Expose-Headers")?.split(", ") ?? [];
      for (const name of ["Content-Location", "Location", "X-Pagination-Total", "X-Pagination-Next", "X-Request-ID"]) {
        expect(exposed).toContain(name);
      }
    });

    it("answers a preflight with the headers it asked for, and lets public pages reach a local server", async () => {
      const asked = "authorization, x-api-key, x-auth-scheme, last-event-id, content-type, prefer";
      const { status, headers } = await api.call("OPTIONS", "/threads", {
        headers: {
          ...origin,
          "Access-Control-Request-Method": "POST",
          "Access-Control-Request-Headers": asked,
          "Access-Control-Request-Private-Network": "true",
        },
      });
      expect(status).toBe(204);
      expect(headers.get("Access-Control-Allow-Headers")).toBe(asked);
      expect(headers.get("Access-Control-Allow-Methods")).toContain("PATCH");
      expect(headers.get("Access-Control-Allow-Private-Network")).toBe("true");
    });

    it("marks error answers too, so that a browser may read them", async () => {
      const { status, headers } = await api.call("GET", "/threads/nope", { headers: origin });
      expect([status, headers.get("Access-Control-Allow-Origin")]).toEqual([422, local]);
    });

    it("answers only the origins that were configured", async () => {
      await using strict = await Api.start({ CORS_ALLOW_ORIGINS: "https://app.example" });
      const allowed = await strict.call("GET", "/ok", { headers: { Origin: "https://app.example" } });
      expect(allowed.headers.get("Access-Control-Allow-Origin")).toBe("https://app.example");
      expect(allowed.headers.get("Vary")).toContain("Origin");
      const other = await strict.call("GET", "/ok", { headers: origin });
      expect([other.status, other.headers.get("Access-Control-Allow-Origin")]).toEqual([403, null]);
    });
  });

  describe("bodies", () => {
    it("parses JSON of any content type", async () => {
      for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"]) {
        const made = await api.call("POST", "/threads", {
          body: '{"metadata":{"a":1}}',
          headers: { "Content-Type": type },
        });
        expect([made.status, made.body.metadata]).toEqual([200, { a: 1 }]);
      }
    });

    it("says where JSON is malformed", async () => {
      const { status, body } = await api.post("/threads", '{\n  "metadata": {"a": 1,}\n}');
      expect(status).toBe(422);
      expect(body.detail).toBe(
        'Invalid JSON in request body at line 2, column 23 (position 24): expected a property name in double quotes, found "}"',
      );
    });

    it.each([
      ["[1, 2", 'expected "," or "]", found the end of the text'],
      ['{"a" 1}', 'expected ":", found "1"'],
      ['{"a": tru}', 'expected a value, found "t"'],
      ['{"a": 01}', 'expected "," or "}", found "1"'],
      ['"\\q"', 'expected a valid escape, found "\\\\"'],
      ["{} {}", 'expected nothing more, found "{"'],
    ])("refuses %s with what it expected", async (text, words) => {
      const { status, body } = await api.post("/threads", text);
      expect(status).toBe(422);
      expect(body.detail).toEndWith(words);
    });

    it("refuses keys that reach a prototype, NUL, half characters and bottomless nesting", async () => {
      const deep = `${"[".repeat(10_000)}${"]".repeat(10_000)}`;
      const cases: [string, string][] = [
        ['{"metadata":{"__proto__":{"x":1}}}', "__proto__"],
        ['{"metadata":{"\\u005f_proto__":{"x":1}}}', "__proto__"],
        ['{"metadata":{"constructor":{"prototype":{}}}}', "constructor.prototype"],
        ['{"metadata":{"a":"x\\u0000y"}}', "NUL"],
        ['{"metadata":{"x\\u0000y":1}}', "NUL"],
        ['{"metadata":{"a":"\\ud800"}}', "surrogate"],
        [`{"metadata":{"a":${deep}}}`, "64 levels"],
        [deep, "64 levels"],
      ];
      for (const [text, words] of cases) {
        const { status, body } = await api.post("/threads", text);
        expect([status, text.slice(0, 40), body.detail.includes(words)]).toEqual([422, text.slice(0, 40), true]);
      }
      expect((await api.post("/threads/count")).body).toBeGreaterThan(0);
      expect((await api.post("/threads/search", { metadata: { a: "x" } })).body).toEqual([]);
    });

    it("refuses a body that says it is too large without reading it, and one that turns out to be", async () => {
      const head = (length: string) =>
        `POST /threads HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${length}\r\n\r\n`;
      expect(await raw(head("Content-Length: 1048577"))).toStartWith("HTTP/1.1 413");
      const chunks = `${(1024).toString(16)}\r\n${" ".repeat(1024)}\r\n`.repeat(1100);
      const answer = await raw(`${head("Transfer-Encoding: chunked")}${chunks}0\r\n\r\n`);
      expect(answer).toStartWith("HTTP/1.1 413");
      expect(answer).toContain('{"detail":"The request body is larger than 1048576 bytes"}');
    });

    it("reads a chunked body like any other", async () => {
      const text = '{"metadata":{"chunked":"äöü"}}';
      const bytes = Buffer.from(text);
      const chunk = (part: Buffer) => `${part.length.toString(16)}\r\n${part.toString("latin1")}\r\n`;
      const { hostname, port } = new URL(api.url);
      const answer = await new Promise<string>((resolve) => {
        const socket = connect(Number(port), hostname, () => {
          const head =
            "POST /threads HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
          socket.write(`${head + chunk(bytes.subarray(0, 26)) + chunk(bytes.subarray(26))}0\r\n\r\n`, "latin1");
        });
        let received = "";
        socket.on("data", (part) => {
          received += part.toString();
        });
        socket.on("end", () => resolve(received));
      });
      expect(answer).toContain('"metadata":{"chunked":"äöü"}');
    });
  });

  describe("routing", () => {
    it("answers 404 for an unknown path and 405 with Allow for a wrong method", async () => {
      const missing = await api.get("/nothing/here");
      expect([missing.status, missing.body]).toEqual([404, { detail: "Not Found" }]);
      const wrong = await api.call("PUT", "/threads/search", {});
      expect([wrong.status, wrong.headers.get("Allow")]).toEqual([405, "POST, OPTIONS"]);
      expect(wrong.body.detail).toContain("PUT");
      const item = await api.call("POST", "/assistants/agent");
      expect([item.status, item.headers.get("Allow")]).toEqual([405, "GET, PATCH, DELETE, HEAD, OPTIONS"]);
    });

    it("takes a slash at the end, and answers HEAD like GET without a body", async () => {
      expect((await api.get("/ok/")).status).toBe(200);
      const head = await api.call("HEAD", "/ok");
      expect([head.status, head.text]).toEqual([200, ""]);
    });

    it("survives addresses that do not decode", async () => {
      for (const path of [
        "/threads/%E0%A4%A",
        "/assistants/%E0%A4%A",
        "/store/items?key=%FF&namespace=%E0%A4%A",
        "/%",
      ]) {
        const answer = await raw(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
        expect(answer).toMatch(/^HTTP\/1.1 (200|404|422)/);
      }
      const nul = await api.get("/store/items?key=a%00b");
      expect([nul.status, nul.body.detail]).toEqual([422, "The address contains a NUL character"]);
    });

    it("does not start with a route that says not who may call it", () => {
      const spec = {
        method: "get" as const,
        path: "/x" as const,
        tags: ["X"],
        summary: "",
        responses: { 200: { description: "" } },
      };
      // biome-ignore lint/suspicious/noExplicitAny: the type already forbids it; this is the check at start
      const open = () => router().openapi({ ...spec } as any, (c: any) => c.text(""));
      expect(open).toThrow("Route GET /x declares no auth action");
      const other = route({ ...spec, auth: "public" });
      expect(new Router().openapi(other, (c) => c.text("")).specs).toEqual([other]);
    });
  });

  it("tells a client nothing of an unexpected error, and the log everything", async () => {
    await using broken = await Api.start();
    Object.assign(broken.storage.threads, { find: () => Promise.reject(new Error("disk on fire at /secret/path")) });
    const { status, body, headers } = await broken.call("GET", `/threads/${crypto.randomUUID()}`);
    expect(status).toBe(500);
    expect(body).toEqual({ detail: "Internal server error", request_id: headers.get("X-Request-ID") });
    expect(broken.log.join("")).toContain("disk on fire");
    expect(broken.log.join("")).toContain(body.request_id);
  });
});
