import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { request } from "node:http";
import { Api } from "./api.ts";

interface Sent {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  body?: string;
}

/** As a browser sends it: `fetch` would not let a program choose Host. */
function ask(api: Api, { method = "GET", path = "/threads", headers = {}, body }: Sent): Promise<Answer> {
  const { hostname, port } = new URL(api.url);
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, method, path, headers, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (piece) => {
        text += piece;
      });
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  text: string;
}

const FOREIGN = "https://evil.example";
const THREAD = "11111111-1111-4111-8111-111111111111";

/** Everything that starts, changes or reads something, in the forms that a browser sends without asking first. */
const REQUESTS: Sent[] = [
  ...["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json"].map(
    (type) => ({
      method: "POST",
      path: "/runs/wait",
      headers: { "content-type": type },
      body: '{"assistant_id":"agent","input":{"messages":[]}}',
    }),
  ),
  { method: "POST", path: "/threads" },
  { method: "POST", path: "/threads", body: "{}" },
  { method: "POST", path: `/threads/${THREAD}/copy` },
  { method: "DELETE", path: `/threads/${THREAD}` },
  { method: "PATCH", path: `/threads/${THREAD}`, body: "{}" },
  { method: "PUT", path: "/store/items", body: '{"namespace":["a"],"key":"k","value":{}}' },
  { method: "POST", path: "/assistants/search", body: "{}" },
  { method: "GET", path: "/assistants/agent" },
  { method: "GET", path: `/threads/${THREAD}/runs/${THREAD}/stream?cancel_on_disconnect=true` },
  { method: "OPTIONS", path: "/threads" },
];

describe("A page of another site", () => {
  let api: Api;
  beforeAll(async () => {
    api = await Api.start();
  });
  afterAll(() => api[Symbol.asyncDispose]());
  const threads = async () => (await api.post("/threads/count")).body;

  it.each([FOREIGN, "null", "http://localhost.evil.example", "https://evil.example:3000", "file://"])(
    "of origin %s starts, changes and reads nothing, whatever form its request has",
    async (origin) => {
      for (const sent of REQUESTS) {
        const { status, headers, text } = await ask(api, { ...sent, headers: { ...sent.headers, origin } });
        expect([sent.path, status, headers["access-control-allow-origin"]]).toEqual([sent.path, 403, undefined]);
        expect(headers.vary).toBe("Origin");
        expect(JSON.parse(text)).toEqual({
          detail: `Web pages of ${origin} may not use this server. CORS_ALLOW_ORIGINS names the origins that may.`,
        });
      }
      expect(await threads()).toBe(0);
    },
  );

  it("gets an answer to its preflight that allows nothing", async () => {
    const headers = { origin: FOREIGN, "access-control-request-method": "POST" };
    const answer = await ask(api, { method: "OPTIONS", path: "/threads", headers });
    expect(answer.status).toBe(204);
    expect(Object.keys(answer.headers).filter((name) => name.startsWith("access-control-"))).toEqual([]);
  });

  it("gets nothing as an image, a script, a frame or by following a form, and a person may follow its link", async () => {
    const cross = { "sec-fetch-site": "cross-site" };
    const status = async (method: string, headers: Record<string, string>) =>
      (await ask(api, { method, path: "/assistants/agent", headers: { ...cross, ...headers } })).status;
    expect(await status("GET", { "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" })).toBe(403);
    expect(await status("GET", { "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script" })).toBe(403);
    expect(await status("GET", { "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" })).toBe(403);
    expect(await status("POST", { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" })).toBe(403);
    expect(await status("GET", { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" })).toBe(200);
  });

  it("may use the server when it is the server's own, one of this machine, or no page at all", async () => {
    const host = new URL(api.url).host;
    const allowed: Record<string, string>[] = [
      {},
      { origin: `http://${host}` },
      { origin: `https://${host}` },
      { origin: "https://app.example", "sec-fetch-site": "same-origin" },
      { "sec-fetch-site": "none" },
      { "sec-fetch-site": "same-origin" },
      ...["http://localhost:5173", "https://localhost", "http://127.0.0.1:8080", "http://[::1]:9"].map((origin) => ({
        origin,
        "sec-fetch-site": "cross-site",
      })),
    ];
    const before = await threads();
    for (const headers of allowed) {
      const made = await ask(api, { method: "POST", path: "/threads", headers, body: "{}" });
      expect([headers, made.status]).toEqual([headers, 200]);
      expect(made.headers["access-control-allow-origin"]).toBe(headers.origin);
    }
    expect(await threads()).toBe(before + allowed.length);
  });
});

describe("A page of an origin that the operator names", () => {
  it("may use the server, and localhost only where it is named too", async () => {
    await using api = await Api.start({ CORS_ALLOW_ORIGINS: "https://app.example/, studio" });
    const status = async (origin: string) =>
      (await ask(api, { method: "POST", path: "/threads", headers: { origin }, body: "{}" })).status;
    expect(await status("https://app.example")).toBe(200);
    expect(await status("https://smith.langchain.com")).toBe(200);
    expect(await status("http://app.example")).toBe(403);
    expect(await status("http://localhost:5173")).toBe(403);
    expect(await status(`http://${new URL(api.url).host}`)).toBe(200);
  });

  it("may send credentials only where origins are named, never with every origin", async () => {
    const cors = (origins: string[]) => JSON.stringify({ allow_origins: origins, allow_credentials: true });
    await using some = await Api.start({ CORS_CONFIG: cors([FOREIGN]) });
    const named = await ask(some, { headers: { origin: FOREIGN }, path: "/ok" });
    expect(named.headers).toMatchObject({
      "access-control-allow-origin": FOREIGN,
      "access-control-allow-credentials": "true",
      vary: "Origin",
    });
    await using every = await Api.start({ CORS_CONFIG: cors(["*"]) });
    const any = await ask(every, { headers: { origin: FOREIGN }, path: "/ok" });
    expect(any.headers["access-control-allow-origin"]).toBe("*");
    expect(any.headers["access-control-allow-credentials"]).toBeUndefined();
    const silent = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" };
    expect((await ask(every, { headers: silent, path: "/assistants/agent" })).status).toBe(200);
  });
});

describe("A request to a name that is not the server's", () => {
  const PROBES = ["/ok", "/health", "/live", "/ready", "/startup", "/metrics"];
  const status = async (api: Api, host: string, path = "/assistants/agent") =>
    (await ask(api, { path, headers: { host } })).status;

  it("is refused on a loopback address, also when the page's own origin has that name", async () => {
    await using api = await Api.start();
    const { port } = new URL(api.url);
    for (const host of [
      "evil.example",
      `evil.example:${port}`,
      "localhost.evil.example",
      "0.0.0.0",
      "192.168.1.5:3000",
    ]) {
      expect([host, await status(api, host)]).toEqual([host, 403]);
    }
    const page = {
      host: `evil.example:${port}`,
      origin: `http://evil.example:${port}`,
      "sec-fetch-site": "same-origin",
    };
    const answer = await ask(api, { method: "POST", path: "/threads", headers: page });
    expect([answer.status, JSON.parse(answer.text).detail]).toEqual([
      403,
      '"evil.example" is not a name of this server. FRACTAL_ALLOWED_HOSTS adds the names it may be called by.',
    ]);
    for (const host of [
      "localhost:1",
      "LOCALHOST",
      "app.localhost:3000",
      "127.0.0.1",
      "127.1.2.3:80",
      "[::1]:3000",
      "localhost.",
    ]) {
      expect([host, await status(api, host)]).toEqual([host, 200]);
    }
    for (const probe of PROBES) expect([probe, await status(api, "10.0.0.9:3000", probe)]).toEqual([probe, 200]);
  });

  it("is served where FRACTAL_ALLOWED_HOSTS has the name, on every address, and elsewhere when nothing is set", async () => {
    await using local = await Api.start({ FRACTAL_ALLOWED_HOSTS: "agents.example, .corp.example" });
    await using open = await Api.start({ HOST: "0.0.0.0" });
    await using named = await Api.start({ HOST: "0.0.0.0", FRACTAL_ALLOWED_HOSTS: "agents.example" });
    const all = async (host: string) => [
      await status(local, host),
      await status(open, host),
      await status(named, host),
    ];
    expect(await all("agents.example:443")).toEqual([200, 200, 200]);
    expect(await all("a.corp.example")).toEqual([200, 200, 403]);
    expect(await all("corp.example")).toEqual([403, 200, 403]);
    expect(await all("evil.example")).toEqual([403, 200, 403]);
    expect(await all("localhost:3000")).toEqual([200, 200, 200]);
    expect(await status(named, "10.0.0.9", "/ready")).toBe(200);
  });
});
