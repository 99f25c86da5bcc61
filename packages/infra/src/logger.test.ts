import { describe, expect, it } from "bun:test";
import { createAnsi, wantsColour } from "./ansi.ts";
import { createLogger, type LoggerOptions } from "./logger.ts";

function record(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const logger = createLogger({ level: "debug", json: true, write: (line) => lines.push(line), ...options });
  return {
    logger,
    text: () => lines.join(""),
    json: () => JSON.parse(lines.at(-1) ?? "{}") as Record<string, unknown>,
  };
}

describe("createLogger", () => {
  it("writes one JSON object a line with level, time, facts and message", () => {
    const { logger, text, json } = record();
    logger.info({ port: 3000 }, "listening");
    expect(text().endsWith("\n")).toBe(true);
    expect(json()).toMatchObject({ level: "info", port: 3000, msg: "listening" });
    expect(Date.parse(String(json().time))).toBeGreaterThan(0);
  });

  it("keeps to its level", () => {
    const { logger, text } = record({ level: "warn" });
    logger.info({}, "unseen");
    expect(text()).toBe("");
  });

  it("redacts what stands below a key that names a secret, however deep, and leaves numbers alone", () => {
    const { logger, text, json } = record();
    logger.info({
      headers: { Authorization: "Bearer abcdefghijkl", "set-cookie": ["sid=1234"], "x-api-key": "k-123456" },
      config: { openaiApiKey: "sk-aaaa", clientSecret: { value: "deep" }, max_tokens: 512, db_password: "hunter22" },
    });
    expect(text()).not.toMatch(/abcdefghijkl|sid=1234|k-123456|sk-aaaa|deep|hunter22/);
    expect(json().config).toMatchObject({ max_tokens: 512 });
  });

  it("takes a time that grows with the text, and no faster, whatever the text looks like", () => {
    const { logger } = record({ secrets: ["a-secret-value"] });
    const units = [
      "x",
      " ",
      "some words ",
      "a\n",
      "https://",
      "://a:",
      "://:",
      "Bearer ",
      "Bearer\t",
      "a@b:c/",
      '":"',
      "\\",
    ];
    const texts = units.map((unit) => unit.repeat(500_000 / unit.length));
    texts.push(`Bearer${" ".repeat(500_000)}`, `https://a:${"b".repeat(500_000)}`, `https://${"a".repeat(500_000)}`);
    const started = performance.now();
    for (const text of texts) {
      logger.error({ err: new Error(text), text }, text);
      logger.error({ texts: Array.from({ length: 40 }, () => text.slice(0, 16_000)) });
    }
    // A fraction of a second. With a pattern that is quadratic, one of them takes minutes.
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it("cuts long texts, and no secret in two", () => {
    const { logger, text, json } = record({ secrets: ["a-secret-value"] });
    const long = `${"x".repeat(16_380)}a-secret-value${"y".repeat(50_000)}`;
    logger.error({ err: new Error(long), list: [{ long }] }, long);
    const { err, list, msg } = json() as {
      err: { message: string; stack: string };
      list: { long: string }[];
      msg: string;
    };
    for (const found of [err.message, err.stack, list[0]?.long ?? "", msg]) {
      expect(found).toMatch(/x{16000}.*\[[0-9]+ more characters\]$/s);
    }
    expect(text()).not.toContain("a-se");
    expect(text().length).toBeLessThan(70_000);
  });

  it("redacts known secret values, bearer texts and URL passwords inside any text", () => {
    const { logger, text } = record({ secrets: ['pass"word-1', undefined, "short"] });
    logger
      .child({ url: "postgres://fractal:s3cr3t@db/x" })
      .error(
        { err: new Error('refused pass"word-1', { cause: new Error("sent Bearer abcdef123456") }) },
        'key pass"word-1 is short',
      );
    expect(text()).not.toMatch(/word-1|s3cr3t|abcdef123456/);
    expect(text()).toContain("is short");
  });

  it("logs an error with its stack, its cause and what says where it failed, but nothing that people wrote", () => {
    const { logger, text, json } = record();
    const inner = Object.assign(new Error("refused"), {
      code: "23514",
      table: "store_items",
      detail: "Failing row contains (my secret wish)",
      where: "JSON data, line 1: my secret wish",
      command: { name: "xadd", args: ["key", "my secret wish"] },
    });
    const error = Object.assign(new TypeError("outer", { cause: inner }), { code: "E1", apiKey: "sk-1" });
    const told = {
      type: "TypeError",
      message: "outer",
      code: "E1",
      cause: { message: "refused", code: "23514", table: "store_items" },
    };
    logger.error({ err: error }, "failed");
    expect(json().err).toMatchObject(told);
    logger.error(error, "bare");
    expect(json().err).toMatchObject(told);
    logger.error({ err: new AggregateError([inner], "all failed") }, "failed");
    expect(json().err).toMatchObject({ errors: [told.cause] });
    expect(text()).not.toMatch(/secret wish|sk-1/);
  });

  it("survives cycles, maps, bytes and big integers", () => {
    const { logger, json } = record();
    const loop: Record<string, unknown> = { n: 2n, bytes: new Uint8Array(3), map: new Map([["a", 1]]) };
    loop.self = loop;
    logger.info({ loop }, "ok");
    expect(json().loop).toMatchObject({ n: "2", bytes: "[3 bytes]", map: "[Map of 1]" });
  });

  it("writes readable lines for a terminal, the stack below", () => {
    const { logger, text } = record({ json: false });
    logger.warn({ graph: "agent", err: new Error("broken") }, "graph not loaded");
    expect(text()).toMatch(/^\d\d:\d\d:\d\d warn {2}graph not loaded graph=agent\n {2}Error: broken\n/);
    expect(text()).not.toContain("\u001b[");
  });

  it("writes what took a time as a sentence", () => {
    const { logger, text } = record({ json: false });
    logger.info({ graph: "agent", status: "success", ms: 182, thread: "t-1", run: "r-1" }, "run finished");
    expect(text()).toMatch(/info {2}run finished agent success 182 ms thread=t-1 run=r-1\n$/);
  });

  it("names path and message of what a schema refused, also of an error that is no Error", () => {
    const issues = [{ code: "invalid_type", path: ["user", "tags", 0], message: "expected string, received number" }];
    const message = JSON.stringify(issues, null, 2);
    const refused = "user.tags.0: expected string, received number";
    const { logger, json } = record();
    const error = Object.assign(new Error(message), { name: "ZodError", issues });
    error.stack = `ZodError: ${message}\n    at node (graph.ts:3:1)`;
    logger.warn({ err: error }, "run failed");
    expect(json().err).toMatchObject({
      type: "ZodError",
      message: refused,
      issues: [refused],
      stack: `ZodError: ${refused}\n    at node (graph.ts:3:1)`,
    });
    logger.warn({ err: { name: "$ZodError", issues, message } }, "run failed");
    expect(json().err).toMatchObject({ type: "$ZodError", message: refused });
    const terminal = record({ json: false });
    terminal.logger.warn({ node: "classify", err: error }, "run failed");
    expect(terminal.text()).toContain(`run failed node=classify\n  ZodError: ${refused}\n`);
    // As Bun has it.
    error.stack = "ZodError\n    at node (graph.ts:3:1)";
    terminal.logger.warn({ err: error }, "run failed");
    expect(terminal.text()).toEndWith(`run failed\n  ZodError: ${refused}\n      at node (graph.ts:3:1)\n`);
  });
});

describe("colours", () => {
  it("are used on a terminal only, and never against NO_COLOR", () => {
    expect(wantsColour(true, {})).toBe(true);
    expect(wantsColour(false, {})).toBe(false);
    expect(wantsColour(true, { NO_COLOR: "1", FORCE_COLOR: "1" })).toBe(false);
    expect(wantsColour(false, { FORCE_COLOR: "1" })).toBe(true);
    expect(wantsColour(true, { TERM: "dumb" })).toBe(false);
    expect(createAnsi(false).red("x")).toBe("x");
    expect(createAnsi(true).red("x")).toBe("\u001b[31mx\u001b[39m");
  });
});
