import { afterAll, beforeAll, describe, expect, it, setDefaultTimeout } from "bun:test";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { Api } from "./api.ts";
import { ChatPage, executablePath, launchBrowser } from "./page-browser.ts";

setDefaultTimeout(60_000);

const fixture = (path: string) => fileURLToPath(new URL(`../fixtures/${path}`, import.meta.url));
const mail = { to: "ada@example.org", subject: "The report", body: "Dear Ada,\nhere it is.", copies: 2 };

describe.skipIf(executablePath === undefined)("The page at /, when a run asks", () => {
  let api: Api;
  let browser: Browser;

  beforeAll(async () => {
    const graphs = {
      asking: fixture("page/asking.ts:graph"),
      writing: fixture("page/writing.ts:graph"),
      typed: fixture("page/typed.ts:graph"),
      parallel: fixture("engine/interrupting.ts:parallel"),
      counter: fixture("engine/counter.ts:graph"),
      tokens: fixture("engine/tokens.ts:graph"),
    };
    api = await Api.start({ LANGSERVE_GRAPHS: JSON.stringify(graphs) });
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser.close();
    await api[Symbol.asyncDispose]();
  });

  const ask = async (words: string) => {
    const chat = await ChatPage.open(browser, api.url);
    await chat.choose("asking");
    await chat.say(words);
    await chat.page.locator(".ask").waitFor();
    return chat;
  };
  const answered = async (chat: ChatPage) => {
    await chat.page.locator(".message.ai").waitFor();
    await chat.idle();
    expect(chat.complaints).toEqual([]);
    return JSON.parse((await chat.lastAnswer()).replace("Got ", ""));
  };
  const box = (chat: ChatPage) => chat.page.getByLabel("Message", { exact: true });

  it("shows a review's action with its arguments, and approves, edits or rejects it", async () => {
    await using first = await ask("review");
    expect(await first.page.locator(".ask").innerText()).toContain("ada@example.org");
    // The words of a model are text, whatever they look like.
    expect(await first.page.locator(".ask").innerText()).toContain("<img src=x onerror=alert(1)>");
    expect(await first.page.locator(".ask img").count()).toBe(0);
    await first.shoot("question-review");
    await first.click("Approve");
    expect(await answered(first)).toEqual({ decisions: [{ type: "approve" }] });

    await using second = await ask("review");
    await second.click("Edit");
    await second.page.getByLabel("subject").fill("The second report");
    await second.page.getByLabel("copies").fill("3");
    await second.shoot("question-review-edit");
    await second.click("Send the change");
    const args = { ...mail, subject: "The second report", copies: 3 };
    expect(await answered(second)).toEqual({
      decisions: [{ type: "edit", edited_action: { name: "send_mail", args } }],
    });

    await using third = await ask("review");
    await third.page.getByPlaceholder("Feedback (optional)").fill("not today");
    await third.click("Reject");
    expect(await answered(third)).toEqual({ decisions: [{ type: "reject", message: "not today" }] });
  });

  it("collects a decision per action under JavaScript's names, and takes one back", async () => {
    await using chat = await ask("camel");
    const [mailBox, fileBox] = [chat.page.locator(".decision").first(), chat.page.locator(".decision").last()];
    await mailBox.getByRole("button", { name: "Reject" }).click();
    await chat.page.getByText("1 of 2 decided").waitFor();
    await chat.shoot("question-review-two-actions");
    await mailBox.getByRole("button", { name: "Change" }).click();
    await mailBox.getByRole("button", { name: "Edit" }).click();
    await mailBox.getByLabel("body").fill("");
    await mailBox.getByRole("button", { name: "Send the change" }).click();
    await fileBox.getByRole("button", { name: "Approve" }).click();
    const args = { ...mail, body: "" };
    expect(await answered(chat)).toEqual({
      decisions: [{ type: "edit", editedAction: { name: "send_mail", args } }, { type: "approve" }],
    });
  });

  it("answers the inbox's requests, as a list and alone, and takes the message box for a response", async () => {
    const edited = { action: "send_mail", args: { ...mail, to: "bob@example.org" } };
    await using first = await ask("inbox");
    await first.shoot("question-inbox");
    await first.click("Edit");
    await first.page.getByLabel("to", { exact: true }).fill("bob@example.org");
    await first.click("Send the change");
    expect(await answered(first)).toEqual([{ type: "edit", args: edited }]);

    await using second = await ask("object");
    expect(await second.page.getByRole("button", { name: "Edit" }).count()).toBe(0);
    await second.click("Respond");
    await second.page.getByText("Write an answer first.").waitFor();
    await second.click("Accept");
    expect(await answered(second)).toEqual([{ type: "accept", args: null }]);

    await using third = await ask("object");
    await third.click("Ignore");
    expect(await answered(third)).toEqual([{ type: "ignore", args: null }]);

    await using fourth = await ask("inbox");
    await fourth.say("on Monday");
    expect(await answered(fourth)).toEqual([{ type: "response", args: "on Monday" }]);
  });

  it("answers an older approval with what it asks for", async () => {
    await using chat = await ask("approval");
    await chat.page.getByPlaceholder("Feedback (optional)").fill("too early");
    await chat.shoot("question-approval");
    await chat.click("Reject");
    expect(await answered(chat)).toEqual({ approved: false, feedback: "too early" });
  });

  it("answers a question in words from its own field and from the message box", async () => {
    await using first = await ask("text");
    await first.page.locator(".ask").getByPlaceholder("Your answer").fill("Oslo");
    await first.shoot("question-text");
    await first.page.locator(".ask").getByRole("button", { name: "Answer" }).click();
    expect(await answered(first)).toBe("Oslo");
    await using second = await ask("text");
    await second.say("Tokyo");
    expect(await answered(second)).toBe("Tokyo");
    expect(await second.page.locator(".message.human").count()).toBe(1);
  });

  it("takes JSON for any other question, and locks the message box meanwhile", async () => {
    await using chat = await ask("json");
    expect(await box(chat).isDisabled()).toBe(true);
    expect(await chat.page.locator("#send").isDisabled()).toBe(true);
    const field = chat.page.locator(".ask").getByLabel("JSON");
    await field.fill('{"count": ');
    await chat.page.locator(".ask").getByRole("button", { name: "Answer" }).click();
    await chat.page.getByText("this is not valid JSON").waitFor();
    await chat.shoot("question-json");
    await field.fill('{"count": 3}');
    await chat.page.locator(".ask").getByRole("button", { name: "Answer" }).click();
    expect(await answered(chat)).toEqual({ count: 3 });
    expect(await box(chat).isDisabled()).toBe(false);
  });

  it("answers several questions at once, each by its id, also after a reload", async () => {
    await using chat = await ChatPage.open(browser, api.url);
    await chat.choose("parallel");
    await chat.click("Run");
    await chat.page.locator(".decision").nth(1).waitFor();
    await chat.page.reload();
    await chat.page.locator(".decision").nth(1).waitFor();
    expect(await box(chat).isDisabled()).toBe(true);
    for (const side of ["left", "right"]) {
      const decision = chat.page.locator(".decision").filter({ hasText: `${side}?` });
      await decision.getByPlaceholder("Your answer").fill(side.toUpperCase());
      if (side === "right") await chat.shoot("question-several");
      await decision.getByRole("button", { name: "Answer" }).click();
    }
    await chat.page.getByText("joined").waitFor();
    await chat.idle();
    const values = JSON.parse(await chat.page.locator(".message.ai pre").innerText());
    expect(values).toEqual({ answers: ["left=LEFT", "right=RIGHT", "joined"] });
    expect(chat.complaints).toEqual([]);
  });

  it("makes fields of a graph's schema where it has no messages", async () => {
    await using chat = await ChatPage.open(browser, api.url);
    await chat.choose("typed");
    expect(await box(chat).isVisible()).toBe(false);
    await chat.page.getByLabel("title").fill("Paper");
    await chat.page.getByLabel("count").fill("4");
    await chat.page.getByLabel("size").selectOption("large");
    await chat.page.getByLabel("express").selectOption("true");
    await chat.page.getByLabel("tags").fill("[office");
    await chat.click("Run");
    await chat.page.getByRole("alert").getByText("tags: this is not valid JSON").waitFor();
    await chat.page.getByLabel("tags").fill('["office"]');
    await chat.shoot("input-form");
    await chat.click("Run");
    await chat.page.locator(".message.ai pre").waitFor();
    const values = JSON.parse(await chat.page.locator(".message.ai pre").innerText());
    expect(values.received).toMatchObject({ title: "Paper", count: 4, size: "large", express: true, tags: ["office"] });
    expect(chat.complaints).toEqual([]);
  });

  it("offers the other input of a graph with messages", async () => {
    await using chat = await ChatPage.open(browser, api.url);
    await chat.choose("tokens");
    await chat.page.getByText("More input").click();
    await chat.page.getByLabel("n", { exact: true }).fill("3");
    await chat.say("go");
    await chat.page.getByText("t1 t2 t3").waitFor();
    expect(chat.complaints).toEqual([]);
  });

  it("shows headings, tables, lists, quotes, code and links, and no HTML of a model", async () => {
    await using chat = await ChatPage.open(browser, api.url);
    await chat.choose("writing");
    await chat.say("write");
    const text = chat.page.locator(".message.ai .text");
    await text.waitFor();
    await chat.idle();
    await chat.shoot("markdown");
    expect(await text.locator("h4").innerText()).toBe("Three cities");
    expect(await text.locator("table tr").nth(1).locator("td").allInnerTexts()).toEqual([
      "Tokyo",
      "37 million",
      "largest",
    ]);
    expect(await text.locator(":scope > ol > li").count()).toBe(3);
    expect(await text.locator("ol ul li").allInnerTexts()).toEqual(["the quick one", "the slow careful one"]);
    expect(await text.locator("blockquote").innerText()).toContain("A quote of two");
    expect(await text.locator("pre code").innerText()).toBe("const snake_case_name = 1 * 2 * 3;");
    const links = await text
      .locator("a")
      .evaluateAll((nodes) => nodes.map((node) => [node.getAttribute("href"), node.getAttribute("rel")]));
    expect(links).toEqual([
      ["https://example.org/guide?a=1&b=2", "noopener noreferrer"],
      ["https://example.org/end", "noopener noreferrer"],
    ]);
    expect(await text.locator("b, script, img, iframe").count()).toBe(0);
    expect(await text.innerText()).toContain("<script>alert(1)</script>");
    expect(chat.complaints).toEqual([]);
  });
});
