import { afterAll, beforeAll, describe, expect, it, setDefaultTimeout } from "bun:test";
import type { Browser } from "playwright-core";
import { eventually, SpawnedServer } from "../e2e/spawn-server.ts";
import { ChatPage, executablePath, launchBrowser } from "./page-browser.ts";

setDefaultTimeout(120_000);

const WORDS = "Tell me the story of the long journey";
const REPEAT = 30;
const WHOLE = Array.from({ length: REPEAT }, () => WORDS).join(" ");

describe.skipIf(executablePath === undefined)("The page at /, while a run is under way", () => {
  let server: SpawnedServer;
  let browser: Browser;

  beforeAll(async () => {
    const env = { MODEL_NAME: `fake:echo?delay_ms=30&repeat=${REPEAT}` };
    [server, browser] = await Promise.all([SpawnedServer.start({ project: "shipped", env }), launchBrowser()]);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.[Symbol.asyncDispose]();
  });

  /** A run whose answer has begun. */
  const begin = async () => {
    const chat = await ChatPage.open(browser, server.url);
    await chat.say(WORDS);
    await chat.page.locator(".message.ai").waitFor();
    return chat;
  };
  const whole = async (chat: ChatPage) => {
    await chat.idle();
    expect((await chat.lastAnswer()).replace("echo: ", "")).toBe(WHOLE);
    expect([await chat.page.locator(".message.ai").count(), await chat.page.locator(".message.human").count()]).toEqual(
      [1, 1],
    );
  };
  const runs = async (chat: ChatPage) => {
    const response = await fetch(`${server.url}/threads/${new URL(chat.page.url()).hash.slice(1)}/runs`);
    return (await response.json()) as { status: string }[];
  };

  it("goes on by itself after the server was killed in mid-run, and says so meanwhile", async () => {
    await using chat = await begin();
    server.killServer();
    await chat.page.getByText("Reconnecting").waitFor();
    await chat.shoot("restart-reconnecting");
    await chat.page.locator("#lost").waitFor({ state: "hidden" });
    await chat.page.locator(".message.ai").waitFor();
    await chat.shoot("restart-resumed");
    await whole(chat);
    await chat.shoot("restart-finished");
    expect(await runs(chat)).toMatchObject([{ status: "success" }]);
    expect(await chat.page.getByRole("alert").count()).toBe(0);
    expect(chat.complaints.filter((text) => !text.includes("net::ERR"))).toEqual([]);
  });

  it("sends a message that was written while the server was away once it is back, and once only", async () => {
    await using chat = await ChatPage.open(browser, server.url);
    await server.kill();
    await chat.say(WORDS);
    await chat.page.getByText("Reconnecting").waitFor();
    const { port } = new URL(server.url);
    await using again = await SpawnedServer.start({ project: "shipped", env: { MODEL_NAME: "fake:echo", PORT: port } });
    await chat.page.locator(".message.ai").waitFor();
    await chat.idle();
    expect(await chat.lastAnswer()).toBe(`echo: ${WORDS}`);
    const response = await fetch(`${again.url}/threads/${new URL(chat.page.url()).hash.slice(1)}/runs`);
    expect(await response.json()).toMatchObject([{ status: "success" }]);
    await again[Symbol.asyncDispose]();
    await server.start();
  });

  it("joins the run when it is loaded again, with Stop in place of Send", async () => {
    await using chat = await begin();
    await chat.page.reload();
    await chat.page.getByRole("button", { name: "Stop" }).waitFor();
    await chat.page.locator(".message.ai").waitFor();
    expect(await chat.page.locator("#send").isVisible()).toBe(false);
    await chat.shoot("reload-in-mid-run");
    await whole(chat);
    expect(await runs(chat)).toHaveLength(1);
    expect(chat.complaints).toEqual([]);
  });

  it("stops a run that it joined, and goes on with it when asked", async () => {
    await using chat = await begin();
    await chat.page.reload();
    await chat.click("Stop");
    await chat.page.getByText("Stopped").waitFor();
    await chat.idle();
    expect(await runs(chat)).toMatchObject([{ status: "interrupted" }]);
    await chat.shoot("stopped");
    await chat.click("Continue");
    await chat.page.locator(".message.ai").waitFor();
    await whole(chat);
    expect(chat.complaints).toEqual([]);
  });

  it("follows Back, Forward and a thread written into the address, without stopping runs", async () => {
    await using chat = await begin();
    const thread = new URL(chat.page.url()).hash;
    await chat.click("New chat");
    expect(await chat.page.locator(".message").count()).toBe(0);
    await chat.page.goBack();
    await chat.page.locator(".message.ai").waitFor();
    expect(await chat.page.getByRole("button", { name: "Stop" }).isVisible()).toBe(true);
    await whole(chat);
    await chat.page.goBack();
    await chat.page.getByText("Talk to your agent").waitFor();
    expect(new URL(chat.page.url()).hash).toBe("");
    await chat.page.evaluate((hash) => {
      location.hash = hash;
    }, thread);
    await whole(chat);
    expect(await runs(chat)).toMatchObject([{ status: "success" }]);
    // The connection of a stream that the page left may be reset on a busy machine; the page comes back by itself.
    expect(chat.complaints.filter((text) => !text.includes("net::ERR_CONNECTION_RESET"))).toEqual([]);
  });

  it("finds a run that another program started", async () => {
    const post = async (path: string, body: unknown) => {
      const headers = { "Content-Type": "application/json" };
      const response = await fetch(server.url + path, { method: "POST", headers, body: JSON.stringify(body) });
      return (await response.json()) as { thread_id: string; status: string };
    };
    const { thread_id } = await post("/threads", {});
    const input = { messages: [{ role: "user", content: WORDS }] };
    await post(`/threads/${thread_id}/runs`, { assistant_id: "agent", input });
    await using chat = await ChatPage.open(browser, `${server.url}/#${thread_id}`);
    await whole(chat);
    const thread = () =>
      fetch(`${server.url}/threads/${thread_id}`).then((response) => response.json() as Promise<{ status: string }>);
    expect((await eventually(thread, ({ status }) => status === "idle")).status).toBe("idle");
  });
});

describe.skipIf(executablePath === undefined)("The page at /, with several graphs", () => {
  it("begins a thread when the graph changes, and shows the graph of a thread that it finds", async () => {
    await using server = await SpawnedServer.start({ project: "engine" });
    const browser = await launchBrowser();
    try {
      await using chat = await ChatPage.open(browser, server.url);
      await chat.choose("interrupting");
      await chat.click("Run");
      await chat.page.getByText("name?").waitFor();
      const thread = new URL(chat.page.url()).hash;
      await chat.choose("counter");
      expect([await chat.page.locator(".ask").count(), new URL(chat.page.url()).hash]).toEqual([0, ""]);
      await chat.page.getByLabel("steps").fill("2");
      await chat.click("Run");
      await chat.page.getByText("step-2").waitFor();
      expect(new URL(chat.page.url()).hash).not.toBe(thread);
      await chat.page.goto(`${server.url}/${thread}`);
      await chat.page.getByText("name?").waitFor();
      expect(await chat.page.getByLabel("Graph", { exact: true }).inputValue()).toBe("interrupting");
      await chat.say("Ada");
      await chat.page.getByText("age?").waitFor();
      await chat.say("36");
      await chat.page.getByText("Ada is 36").waitFor();
      expect(chat.complaints).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});
