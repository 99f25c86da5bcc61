import { describe, expect, it } from "bun:test";
import { checkpointToWire, debugToWire, publicConfigurable, taskToWire } from "./checkpoint-events.ts";

describe("what clients see of a config", () => {
  it("has no internal keys and, at any depth, no secrets", () => {
    expect(
      publicConfigurable({
        __pregel_store: {},
        langgraph_auth_user: { identity: "x" },
        api_key: "s",
        openaiApiKey: "s",
        apiKeys: { OPENAI_API_KEY: "s" },
        "x-supabase-access-token": "s",
        client_secret: "s",
        DB_PASSWORD: "s",
        credentials: { user: "s" },
        servers: [{ Authorization: "s", url: "u" }],
        deep: { er: { token: "s", kept: true } },
        max_token: 5,
        secret: false,
        tokens: "kept",
        model: "m",
      }),
    ).toEqual({
      servers: [{ url: "u" }],
      deep: { er: { kept: true } },
      max_token: 5,
      secret: false,
      tokens: "kept",
      model: "m",
    });
  });

  it("leaves the caller's object as it was, and what is no plain object as it is", () => {
    const when = new Date(0);
    const given = { deep: { api_key: "s" }, when, nothing: null };
    expect(publicConfigurable(given)).toEqual({ deep: {}, when, nothing: null });
    expect(given.deep.api_key).toBe("s");
  });

  it("is only data, and names the checkpoint", () => {
    const config = {
      configurable: { thread_id: "t", checkpoint_id: "c", checkpoint_ns: "" },
      callbacks: [() => undefined],
      signal: new AbortController().signal,
      tags: ["x"],
      recursion_limit: 25,
    };
    const wire = checkpointToWire({ values: {}, config, parentConfig: undefined });
    expect(wire.config).toEqual({ configurable: config.configurable, tags: ["x"], recursion_limit: 25 });
    expect(wire.checkpoint).toEqual({ thread_id: "t", checkpoint_id: "c", checkpoint_ns: "", checkpoint_map: null });
    expect([wire.parent_config, wire.parent_checkpoint]).toEqual([null, null]);
  });
});

describe("tasks", () => {
  const error = { name: "RangeError", message: "out of range" };
  const shown = { error: "RangeError", message: "out of range" };

  it("give what was thrown as {error, message}, wherever they are told of", () => {
    expect(taskToWire({ id: "t", error })).toEqual({ id: "t", error: shown });
    expect(taskToWire({ id: "t", error: null })).toEqual({ id: "t", error: null });
    expect(taskToWire({ id: "t" })).toEqual({ id: "t" });
    // A node may throw what is no error.
    expect(taskToWire({ error: { name: undefined, message: undefined } }).error).toEqual({
      error: "Error",
      message: "",
    });
    expect(debugToWire({ type: "task_result", payload: { id: "t", error } }).payload).toEqual({
      id: "t",
      error: shown,
    });
    const payload = { values: {}, tasks: [{ id: "t", error }] };
    expect(checkpointToWire(payload).tasks).toEqual([{ id: "t", error: shown }]);
    expect((debugToWire({ type: "checkpoint", payload }).payload as typeof payload).tasks).toEqual([
      { id: "t", error: shown },
    ] as never);
  });
});
