import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { readEvents } from "../../src/routes/page/client/events.ts";
import { Api } from "./api.ts";
import { executablePath, launchBrowser } from "./page-browser.ts";

// Longer than the waits inside, so that a failure names what did not appear.
setDefaultTimeout(30_000);

describe.skipIf(executablePath === undefined)("The page at /", () => {
  let api: Api;
  let browser: Browser;
  let page: Page;
  let complaints: string[];
  let elsewhere: string[];

  beforeAll(async () => {
    api = await Api.start();
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser.close();
    await api[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    page = await browser.newPage();
    page.setDefaultTimeout(8_000);
    complaints = [];
    elsewhere = [];
    // A broken content security policy shows here too.
    page.on("console", (message) => void complaints.push(message.text()));
    page.on("pageerror", (error) => void complaints.push(error.message));
    page.on("request", (request) => {
      if (!request.url().startsWith(api.url) && !request.url().startsWith("data:")) elsewhere.push(request.url());
    });
  });
  afterEach(async () => {
    await page.close();
    expect([complaints, elsewhere]).toEqual([[], []]);
  });

  const open = async (url: string) => {
    await page.goto(url);
    await page.locator("#graphs li").first().waitFor();
  };
  const say = async (text: string) => {
    await page.getByLabel("Message", { exact: true }).fill(text);
    await page.keyboard.press("Enter");
  };
  /** The run is over when the form takes the next message. */
  const idle = () => page.getByRole("button", { name: "Send", exact: true }).waitFor();

  it("says which model answers, which graphs there are, and how to call this very server", async () => {
    await open(api.url);
    expect(await page.locator("#model").textContent()).toBe("Demonstration model fake:demo: no API key is set");
    expect(await page.locator("#graphs").textContent()).toContain("fe096781-5601-53d2-b2f6-0d3403f7e9ca");
    expect(await page.locator("#curl").textContent()).toContain(`curl -s ${api.url}/runs/wait`);
    expect(await page.locator("#sdk").textContent()).toContain(`apiUrl: "${api.url}"`);
    expect(await page.getByRole("link", { name: "API reference" }).getAttribute("href")).toBe("docs");
  });

  it("streams an answer and shows a tool call with its arguments and result, closed", async () => {
    await open(api.url);
    await page.getByRole("button", { name: "Calculate 12 * (3 + 4)" }).click();
    const call = page.locator("details.tool.done");
    await call.waitFor();
    await idle();
    expect(await call.evaluate((node: HTMLDetailsElement) => node.open)).toBe(false);
    await call.locator("summary").click();
    expect(await call.innerText()).toContain('"expression": "12 * (3 + 4)"');
    expect(await call.innerText()).toContain("12 * (3 + 4) = 84");
    expect(await page.locator(".message.ai").last().innerText()).toContain("The calculator says 12 * (3 + 4) = 84.");
    await say("Calculate 2 + 2");
    await page.locator("details.tool").nth(1).waitFor();
    await idle();
    // What the reader opened stays open when more arrives.
    expect(await call.first().evaluate((node: HTMLDetailsElement) => node.open)).toBe(true);
  });

  it("asks for a decision, goes on with it, and finds the conversation again after a reload", async () => {
    await open(api.url);
    await say("Send the report with my approval");
    await page.locator(".ask").waitFor();
    await page.reload();
    await page.locator(".ask").waitFor();
    expect(await page.locator(".ask").innerText()).toContain("Approval needed");
    await page.getByRole("button", { name: "Approve" }).click();
    await page.getByText("You approved").waitFor();
    await idle();
    expect(await page.locator(".ask").count()).toBe(0);
    await page.getByRole("button", { name: "New chat" }).click();
    expect(await page.locator(".message").count()).toBe(0);
    await say("Send the report with my approval");
    await page.getByPlaceholder("Feedback (optional)").fill("not today");
    await page.getByRole("button", { name: "Reject" }).click();
    await page.getByText("You did not approve").waitFor();
    expect(await page.locator(".message.ai").last().innerText()).toContain("not today");
  });

  it("stops a run that is under way", async () => {
    await using slow = await Api.start({ MODEL_NAME: "fake:echo?delay_ms=20&repeat=2000" });
    await page.goto(slow.url);
    elsewhere.length = 0;
    await page.locator("#graphs li").first().waitFor();
    await say("again and");
    await page.locator(".message.ai").waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText("Stopped").waitFor();
    await idle();
    const [thread] = (await slow.post("/threads/search")).body;
    const [run] = (await slow.get(`/threads/${thread.thread_id}/runs`)).body;
    expect(run.status).toBe("interrupted");
    elsewhere.length = 0;
    // Before its server goes.
    await page.close();
  });

  it("of a project names no model that its graphs do not use, and shows the values of a graph without messages", async () => {
    const counter = new URL("../fixtures/engine/counter.ts", import.meta.url).pathname;
    await using own = await Api.start({ LANGSERVE_GRAPHS: JSON.stringify({ counter: `${counter}:graph` }) });
    await page.goto(own.url);
    await page.locator("#graphs li").first().waitFor();
    expect(await page.locator("#model").isVisible()).toBe(false);
    await page.getByLabel("steps").fill("1");
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page.locator(".message.ai pre").getByText("step-1").waitFor();
    expect(JSON.parse(await page.locator(".message.ai pre").innerText())).toMatchObject({ count: 1, log: ["step-1"] });
    await page.reload();
    await page.locator(".message.ai pre").getByText("step-1").waitFor();
    await page.getByRole("button", { name: "New chat" }).click();
    expect(await page.locator(".message").count()).toBe(0);
    elsewhere.length = 0;
    // Before its server goes.
    await page.close();
  });

  it("shows the server's own words when a run fails, and text as text", async () => {
    await open(api.url);
    await page.route("**/runs/stream", (route) =>
      route.fulfill({ status: 409, contentType: "application/json", body: '{"detail":"Thread is <b>busy</b>"}' }),
    );
    await say("<img src=x onerror=alert(1)>");
    await page.getByRole("alert").waitFor();
    expect(await page.getByRole("alert").textContent()).toBe("Thread is <b>busy</b>");
    expect(await page.locator(".message.human").innerText()).toContain("<img src=x onerror=alert(1)>");
    expect(await page.locator(".message img").count()).toBe(0);
    complaints = complaints.filter((text) => !text.includes("409"));
  });

  it("forgets a thread that is gone", async () => {
    await open(`${api.url}/#11111111-1111-4111-8111-111111111111`);
    await page.getByRole("alert").waitFor();
    expect(await page.getByRole("alert").textContent()).toContain("not found");
    await say("Hello");
    await page.getByText("You said").waitFor();
    complaints = complaints.filter((text) => !text.includes("404"));
  });

  it("makes the OpenAPI document readable, searchable and callable at /docs", async () => {
    await page.goto(`${api.url}/docs`);
    await page.locator(".operation").first().waitFor();
    expect(await page.locator(".operation").count()).toBeGreaterThan(45);
    await page.getByLabel("Find an operation").fill("post threads count");
    expect(await page.locator(".operation:visible").count()).toBe(1);
    await page.locator(".operation:visible > summary").click();
    await page.locator(".operation:visible").getByRole("button", { name: "Send" }).click();
    const answer = page.locator(".operation:visible .try pre");
    await answer.getByText(/^200 OK\s+\d+$/).waitFor();
    await page.getByLabel("Find an operation").fill("get /threads/{thread_id} a thread");
    await page.locator(".operation:visible > summary").first().click();
    await page.locator(".operation:visible input").first().fill("nope");
    await page.locator(".operation:visible").getByRole("button", { name: "Send" }).click();
    await page.getByText("thread_id: must be a UUID").waitFor();
    complaints = complaints.filter((text) => !text.includes("422"));
  });

  it("links to each operation of /docs, and says when none is found", async () => {
    const linked = page.locator("#get-threads-thread_id-state");
    await page.goto(`${api.url}/docs#get-threads-thread_id-state`);
    await linked.getByRole("button", { name: "Send" }).waitFor();
    await page.getByLabel("Find an operation").fill("make me a sandwich");
    await page.getByText('No operation has "make me a sandwich".').waitFor();
    await page.getByLabel("Find an operation").fill("post threads count");
    expect(await page.getByRole("status").textContent()).toBe("");
    await page.locator(".operation:visible").getByRole("link").click();
    expect(page.url()).toEndWith("/docs#post-threads-count");
    await page.locator("#post-threads-count").getByRole("button", { name: "Send" }).waitFor();
  });
});

describe("The page's script", () => {
  it("holds every function of its files, which hold nothing else", async () => {
    await using api = await Api.start();
    const folder = new URL("../../src/routes/page/client/", import.meta.url);
    const pages = { "reference.ts": "/docs", "schema.ts": "/docs" } as Record<string, string>;
    const texts = new Map<string, string>();
    for (const path of ["/", "/docs"]) {
      texts.set(path, (await api.call("GET", path, { headers: { accept: "text/html" } })).text);
    }
    for (const file of readdirSync(folder)) {
      const source = readFileSync(new URL(file, folder), "utf8");
      // A constant of the module would be missing in the browser.
      expect([file, source.match(/^(export )?(const|let|class) .*/gm)]).toEqual([file, null]);
      const names = [...source.matchAll(/^(?:export )?(?:async )?function\*? (\w+)/gm)].map(([, name]) => name);
      const page = texts.get(pages[file] ?? "/") ?? "";
      expect([file, names.filter((name) => !page.includes(` ${name}(`))]).toEqual([file, []]);
    }
  });
});

describe("The page's event reader", () => {
  it("reads frames however the network cuts them", async () => {
    const text =
      ': heartbeat\r\n\r\nevent: a\r\ndata: {"x":"ü"}\r\nid: 1-0\r\n\r\nevent: b\ndata: null\n\nevent: cut\ndata: 1';
    const bytes = new TextEncoder().encode(text);
    for (const size of [1, 3, 7, bytes.length]) {
      const stream = new ReadableStream<Uint8Array>({
        start(controller) {
          for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.subarray(at, at + size));
          controller.close();
        },
      });
      const events = [];
      for await (const event of readEvents(stream)) events.push(event);
      expect(events).toEqual([
        { id: "1-0", event: "a", data: { x: "ü" } },
        { event: "b", data: null },
      ]);
    }
  });
});
