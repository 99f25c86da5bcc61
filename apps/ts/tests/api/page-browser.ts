import { existsSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";

/** The Chromium of this machine; without one the browser suites are skipped. */
export const executablePath: string | undefined = [
  process.env.FRACTAL_TEST_CHROMIUM ?? "",
  ...["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"],
].find(existsSync);

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: executablePath ?? "", args: ["--no-sandbox"] });
}

/** The page at / as a person uses it. */
export class ChatPage implements AsyncDisposable {
  readonly page: Page;
  /** Of the console and of scripts; a broken content security policy shows here too. */
  readonly complaints: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on("console", (message) => void this.complaints.push(message.text()));
    page.on("pageerror", (error) => void this.complaints.push(error.message));
  }

  static async open(browser: Browser, url: string): Promise<ChatPage> {
    const page = await browser.newPage({ viewport: { width: 1180, height: 860 } });
    page.setDefaultTimeout(20_000);
    const chat = new ChatPage(page);
    await page.goto(url);
    await page.locator("#graphs li").first().waitFor();
    await chat.ready();
    return chat;
  }

  /** The form takes something. */
  async ready(): Promise<void> {
    await this.page.locator("#send:visible:enabled").waitFor();
  }

  /** The run is over, whether it asks something or not. */
  async idle(): Promise<void> {
    await this.page.locator('#log[aria-busy="false"]').waitFor();
    await this.page.locator("#send:visible").waitFor();
  }

  async say(text: string): Promise<void> {
    await this.page.getByLabel("Message", { exact: true }).fill(text);
    await this.page.keyboard.press("Enter");
  }

  async choose(graph: string): Promise<void> {
    await this.page.getByLabel("Graph", { exact: true }).selectOption(graph);
    await this.ready();
  }

  async click(name: string): Promise<void> {
    await this.page.getByRole("button", { name, exact: true }).click();
  }

  /** The last thing that the agent said. */
  async lastAnswer(): Promise<string> {
    return this.page.locator(".message.ai .text").last().innerText();
  }

  /** Into the folder that FRACTAL_TEST_SHOTS names, if any. */
  async shoot(name: string): Promise<void> {
    const folder = process.env.FRACTAL_TEST_SHOTS;
    if (folder !== undefined) await this.page.screenshot({ path: `${folder}/${name}.png` });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.close();
  }
}
