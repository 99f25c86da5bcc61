import { afterAll, beforeAll, describe, expect, it, setDefaultTimeout } from "bun:test";
import { existsSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";
import { ANONYMOUS } from "#core/identity/scope";
import { Api } from "./api.ts";

setDefaultTimeout(60_000);

const executablePath = [
  process.env.FRACTAL_TEST_CHROMIUM ?? "",
  ...["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"],
].find(existsSync);

interface Call {
  method?: string;
  mode?: "cors" | "no-cors";
  headers?: Record<string, string>;
  body?: string;
}

/** What a page gets: the text of an answer, or that the browser shows it none. */
type Got = { status: number; text: string } | "nothing";

describe.skipIf(executablePath === undefined)("A page in a real browser", () => {
  let api: Api;
  /** A site of somebody else on this machine; every host name leads here or to the server, by its port. */
  let site: ReturnType<typeof Bun.serve>;
  let browser: Browser;
  let port: string;

  beforeAll(async () => {
    api = await Api.start();
    ({ port } = new URL(api.url));
    site = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () => new Response("<!doctype html><body>a page", { headers: { "content-type": "text/html" } }),
    });
    browser = await chromium.launch({
      executablePath: executablePath ?? "",
      args: ["--no-sandbox", "--host-resolver-rules=MAP *.test 127.0.0.1"],
    });
  });
  afterAll(async () => {
    await browser.close();
    await site.stop(true);
    await api[Symbol.asyncDispose]();
  });

  const open = async (url: string): Promise<Page> => {
    const page = await browser.newPage();
    await page.goto(url);
    return page;
  };
  const fetched = (page: Page, url: string, init: Call): Promise<Got> =>
    page.evaluate(
      async ([url, init]) => {
        try {
          const answer = await fetch(url, init);
          return answer.type === "opaque" ? "nothing" : { status: answer.status, text: await answer.text() };
        } catch {
          // The browser keeps the answer from the page.
          return "nothing";
        }
      },
      [url, init] as const,
    );
  /** How many threads and runs there are, and what was made of the assistant. */
  const state = async () => {
    const { body: threads } = await api.post("/threads/count");
    const runs = await api.storage.runs.counts();
    const assistant = await api.storage.assistants.find(ANONYMOUS, victim);
    return JSON.stringify({ threads, runs, assistant });
  };
  const RUN = JSON.stringify({ assistant_id: "agent", input: { messages: [{ role: "user", content: "hi" }] } });
  let victim = "";

  /** Tries by every way that needs no consent; what the page could read of the answers. */
  async function attack(page: Page, target: string): Promise<Got[]> {
    const got: Got[] = [];
    for (const mode of ["cors", "no-cors"] as const) {
      for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/json"]) {
        const init = { method: "POST", mode, headers: { "content-type": type }, body: RUN };
        got.push(await fetched(page, `${target}/runs/wait`, init), await fetched(page, `${target}/threads`, init));
      }
      got.push(await fetched(page, `${target}/assistants/${victim}`, { mode }));
      got.push(await fetched(page, `${target}/assistants/search`, { method: "POST", mode }));
    }
    for (const method of ["PATCH", "DELETE"]) {
      got.push(await fetched(page, `${target}/assistants/${victim}`, { method, mode: "cors" }));
    }
    return got;
  }

  /** A form that is sent by script into a frame, and what becomes of images, scripts and frames. */
  async function embed(page: Page, target: string) {
    const answers = ["/info?iframe", "/runs/wait"].map((path) => page.waitForResponse(`${target}${path}`));
    const loaded = await page.evaluate(
      async ([target, run]) => {
        const outcomes: string[] = [];
        for (const tag of ["img", "script", "iframe"] as const) {
          const node = document.createElement(tag);
          const over = new Promise<string>((resolve) => {
            for (const type of ["load", "error"]) node.addEventListener(type, () => resolve(type));
          });
          node.src = `${target}/info?${tag}`;
          document.body.append(node);
          if (tag !== "iframe") outcomes.push(await over);
        }
        const frame = document.createElement("iframe");
        frame.name = "sink";
        document.body.append(frame);
        const form = document.createElement("form");
        Object.assign(form, { method: "POST", action: `${target}/runs/wait`, enctype: "text/plain", target: "sink" });
        const field = document.createElement("input");
        // `name=value` of a text/plain form is JSON with the "=" inside a string.
        Object.assign(field, { name: `${run.slice(0, -1)},"metadata":{"x":"`, value: '"}}' });
        form.append(field);
        document.body.append(form);
        form.submit();
        return outcomes;
      },
      [target, RUN] as const,
    );
    return { loaded, statuses: (await Promise.all(answers)).map((answer) => answer.status()) };
  }

  it("of another site reads and starts nothing, by fetch, form, image, script or frame", async () => {
    victim = (await api.post("/assistants", { graph_id: "agent", name: "mine" })).body.assistant_id;
    const before = await state();
    const page = await open(`http://evil.test:${site.port}/`);
    expect(new Set(await attack(page, api.url))).toEqual(new Set(["nothing"]));
    expect(await embed(page, api.url)).toEqual({ loaded: ["error", "error"], statuses: [403, 403] });
    await page.close();
    expect(await state()).toBe(before);
  });

  it("whose name was pointed at the server's own port reads and starts nothing", async () => {
    const before = await state();
    const rebound = `http://rebinding.test:${port}`;
    const page = await open(`${rebound}/ok`);
    const got = await attack(page, rebound);
    const readable = got.filter((answer) => answer !== "nothing");
    expect(readable.length).toBeGreaterThan(0);
    for (const { status, text } of readable) {
      expect([status, text]).toEqual([403, expect.stringContaining('rebinding.test\\" is not a name of this server')]);
    }
    expect((await page.goto(`${rebound}/assistants/${victim}`))?.status()).toBe(403);
    await page.close();
    expect(await state()).toBe(before);
  });

  it("of another site in a sandbox, with no origin at all, starts nothing", async () => {
    const before = await state();
    const page = await open(`http://evil.test:${site.port}/`);
    const got = await page.evaluate(
      ([target, run]) =>
        new Promise((resolve) => {
          addEventListener("message", (event) => resolve(event.data));
          const frame = document.createElement("iframe");
          frame.setAttribute("sandbox", "allow-scripts");
          const call = `fetch(${JSON.stringify(`${target}/runs/wait`)}, {method: "POST", body: ${JSON.stringify(run)}})`;
          frame.srcdoc = `<script>${call}.then((a) => a.text()).then((t) => parent.postMessage(t, "*"), () => parent.postMessage("nothing", "*"))</script>`;
          document.body.append(frame);
        }),
      [api.url, RUN] as const,
    );
    await page.close();
    expect(got).toBe("nothing");
    expect(await state()).toBe(before);
  });

  it("at /, a page on another port of this machine, and a program use the server as before", async () => {
    const post = { method: "POST", headers: { "content-type": "application/json" }, body: RUN };
    for (const url of [api.url, `http://localhost:${port}/`, `http://localhost:${site.port}/`]) {
      const page = await open(url);
      const target = url.startsWith(`http://localhost:${port}`) ? `http://localhost:${port}` : api.url;
      const run = await fetched(page, `${target}/runs/wait`, post);
      expect(run).toMatchObject({ status: 200, text: expect.stringContaining('"type":"ai"') });
      expect(await fetched(page, `${target}/assistants/${victim}`, {})).toMatchObject({ status: 200 });
      await page.close();
    }
    const page = await open(`http://evil.test:${site.port}/`);
    await page.evaluate((href) => {
      document.body.innerHTML = `<a href="${href}">the server</a>`;
    }, api.url);
    await page.getByText("the server").click();
    await page.waitForURL(`${api.url}/`);
    expect(await page.title()).toBe("Fractal Agents Runtime");
    await page.close();
    const curl = Bun.spawn(["curl", "-s", "-d", RUN, `${api.url}/runs/wait`], { stderr: "inherit" });
    expect(await new Response(curl.stdout).text()).toContain('"type":"ai"');
  });
});
