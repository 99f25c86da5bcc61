import { describe, expect, it } from "bun:test";
import { RuntimeError } from "#core/errors";
import { mergeRunConfig } from "#core/graphs/merge";

describe("mergeRunConfig", () => {
  it("lets the run win over the thread and the thread over the assistant, key by key", () => {
    const merged = mergeRunConfig({
      graphDefaults: { config: { configurable: { a: 0, z: 0 } } },
      assistant: { config: { configurable: { a: 1, b: 1, c: 1 } } },
      thread: { config: { configurable: { b: 2, c: 2 } } },
      run: { config: { configurable: { c: 3 } } },
    });
    expect(merged.config.configurable).toEqual({ z: 0, a: 1, b: 2, c: 3 });
  });

  it("sends no key of the assistant to an endpoint that it did not know of", () => {
    const url = "https://a.example/v1";
    const apiKeys = { CUSTOM_API_KEY: "s", OPENAI_API_KEY: "o" };
    const run = (assistant: object, given: object) =>
      mergeRunConfig({ assistant: { config: { configurable: { ...assistant } } }, run: { context: { ...given } } })
        .config.configurable;
    const known = { base_url: url, custom_api_key: "s", apiKeys };
    expect(run(known, { base_url: url, t: 1 })).toEqual({ ...known, t: 1 });
    expect(run(known, { t: 1 })).toEqual({ ...known, t: 1 });
    const other = { base_url: "https://b.example/v1" };
    expect(run(known, other)).toEqual({ ...other, apiKeys: { OPENAI_API_KEY: "o" } });
    expect(run({ custom_api_key: "s" }, other)).toEqual(other);
    expect(run(known, { ...other, custom_api_key: "own" })).toMatchObject({ ...other, custom_api_key: "own" });
  });

  it("replaces nested values instead of mixing them", () => {
    const merged = mergeRunConfig({
      assistant: { config: { configurable: { model: { name: "x", t: 1 } } } },
      run: { config: { configurable: { model: { name: "y" } } } },
    });
    expect(merged.config.configurable).toEqual({ model: { name: "y" } });
  });

  it("leaves the recursion limit out when nobody gave one", () => {
    expect("recursion_limit" in mergeRunConfig({ assistant: { config: { tags: ["a"] } }, run: {} }).config).toBe(false);
  });

  it("keeps the assistant's recursion limit when the run gives none or null", () => {
    const assistant = { config: { recursion_limit: 7 } };
    expect(mergeRunConfig({ assistant, run: { config: {} } }).config.recursion_limit).toBe(7);
    expect(mergeRunConfig({ assistant, run: { config: { recursion_limit: undefined } } }).config.recursion_limit).toBe(
      7,
    );
    expect(mergeRunConfig({ assistant, run: { config: { recursion_limit: 3 } } }).config.recursion_limit).toBe(3);
  });

  it("joins tags without repeats and merges metadata", () => {
    const { config } = mergeRunConfig({
      assistant: { config: { tags: ["a", "b"], metadata: { x: 1, y: 1 } } },
      run: { config: { tags: ["b", "c"], metadata: { y: 2 } } },
    });
    expect(config.tags).toEqual(["a", "b", "c"]);
    expect(config.metadata).toEqual({ x: 1, y: 2 });
  });

  it("gives no context when there is none", () => {
    expect(mergeRunConfig({ run: { config: { configurable: { thread_id: "t" } } } }).context).toBeUndefined();
    expect(mergeRunConfig({})).toEqual({ config: { tags: [], configurable: {}, metadata: {} }, context: undefined });
  });

  it("shows a layer's configurable as context and its context as configurable", () => {
    const merged = mergeRunConfig({
      assistant: { config: { configurable: { model: "small" } } },
      run: { context: { user: "ann" } },
    });
    expect(merged.context).toEqual({ model: "small", user: "ann" });
    expect(merged.config.configurable).toEqual({ model: "small", user: "ann" });
  });

  it("merges the run's context over the assistant's", () => {
    const merged = mergeRunConfig({ assistant: { context: { a: 1, b: 1 } }, run: { context: { b: 2 } } });
    expect(merged.context).toEqual({ a: 1, b: 2 });
  });

  it("refuses a run whose configurable and context differ, and accepts them equal", () => {
    const both = { config: { configurable: { model: "x", thread_id: "t" } }, context: { model: "y" } };
    expect(() => mergeRunConfig({ run: both })).toThrow(RuntimeError);
    expect(mergeRunConfig({ run: { ...both, context: { model: "x" } } }).context).toEqual({ model: "x" });
  });

  it("does not mirror what identifies the run", () => {
    const run = { config: { configurable: { checkpoint_id: "c", thread_id: "t", model: "x" } } };
    expect(mergeRunConfig({ run }).context).toEqual({ model: "x" });
    expect(mergeRunConfig({ run }).config.configurable).toEqual({ checkpoint_id: "c", model: "x" });
  });

  it("takes a user_id beside a context for no contradiction", () => {
    const run = { config: { configurable: { user_id: "ada", thread_id: "t" } }, context: { model: "x" } };
    expect(mergeRunConfig({ run })).toMatchObject({
      config: { configurable: { user_id: "ada", model: "x" } },
      context: { user_id: "ada", model: "x" },
    });
  });

  it("does not carry an earlier time travel from the thread or the assistant into a run", () => {
    const config = { configurable: { checkpoint_id: "old", checkpoint_ns: "n", checkpoint_map: {}, keep: 1 } };
    const merged = mergeRunConfig({ assistant: { config }, thread: { config } });
    expect(merged.config.configurable).toEqual({ keep: 1 });
  });

  it("drops the keys of langgraph's insides", () => {
    const configurable = { __pregel_checkpointer: {}, __pregel_resuming: true, ok: 1 };
    expect(mergeRunConfig({ run: { config: { configurable } } }).config.configurable).toEqual({ ok: 1 });
  });

  it("changes none of its arguments", () => {
    const assistant = Object.freeze({
      config: Object.freeze({ configurable: Object.freeze({ a: 1 }) }),
      context: Object.freeze({}),
    });
    expect(() => mergeRunConfig({ assistant, run: { context: { b: 2 } } })).not.toThrow();
  });
});
