import { describe, expect, it } from "bun:test";
import { GraphConfigError } from "../errors.ts";
import { configSchema, type JsonObject, parseConfiguration } from "./configuration.ts";

function problem(configurable: JsonObject): string {
  try {
    parseConfiguration(configurable);
  } catch (error) {
    expect(error).toBeInstanceOf(GraphConfigError);
    return (error as Error).message;
  }
  throw new Error(`accepted: ${JSON.stringify(configurable)}`);
}

describe("the agent's configuration", () => {
  it("has defaults for everything, and takes null and empty text as not given", () => {
    const defaults = { temperature: 0.7, max_tokens: 4000 };
    expect(parseConfiguration(undefined)).toEqual(defaults);
    expect(
      parseConfiguration({
        model_name: "",
        temperature: null,
        max_tokens: " ",
        base_url: "",
        custom_api_key: null,
        system_prompt: "",
      }),
    ).toEqual(defaults);
  });

  it("reads numbers written as text, and rounds the token limit", () => {
    expect(parseConfiguration({ temperature: "0.2", max_tokens: "99.6" })).toEqual({
      temperature: 0.2,
      max_tokens: 100,
    });
  });

  it("leaves the server's keys and unknown ones alone", () => {
    const configuration = parseConfiguration({
      thread_id: "t",
      run_id: "r",
      assistant: {},
      __proto__: { temperature: 9 },
    });
    expect(configuration).toEqual({ temperature: 0.7, max_tokens: 4000 });
  });

  it("drops empty entries of apiKeys", () => {
    expect(parseConfiguration({ apiKeys: { OPENAI_API_KEY: "", ANTHROPIC_API_KEY: "k", X: null } }).apiKeys).toEqual({
      ANTHROPIC_API_KEY: "k",
    });
  });

  it("names the path of every problem at once", () => {
    const text = problem({
      temperature: "hot",
      max_tokens: 0,
      base_url: "ftp://x",
      apiKeys: { A: 1 },
      model_name: ["x"],
    });
    for (const path of ["temperature", "max_tokens", "base_url", "apiKeys.A", "model_name"]) {
      expect(text).toContain(`configurable.${path}: `);
    }
    expect(problem({ temperature: 2.1 })).toContain("configurable.temperature");
  });

  it("never repeats a secret in an error", () => {
    expect(problem({ custom_api_key: ["sk-secret"], apiKeys: "sk-secret" })).not.toContain("sk-secret");
    const text = problem({ base_url: "https://user:sk-secret@example.com/v1" });
    expect(text).toContain("must not contain a user name or password");
    expect(text).not.toContain("sk-secret");
  });

  it("refuses keys of features that it does not have, when they ask for something", () => {
    expect(problem({ mcp_config: { servers: [{ url: "http://x" }] } })).toContain(
      "configurable.mcp_config: MCP servers are not supported",
    );
    expect(problem({ mcp_config: [{ url: "http://x" }] })).toContain("configurable.mcp_config");
    expect(problem({ rag: { rag_url: "http://x", collections: ["c"] } })).toContain("configurable.rag:");
    expect(problem({ rag_config: { archives: [{ name: "a" }] } })).toContain("configurable.rag_config");
    expect(problem({ agent_tools: ["id"] })).toContain("configurable.agent_tools");
    expect(problem({ prompt_overrides: { p: { version: 1 } } })).toContain("configurable.prompt_overrides");
  });

  it("accepts the same keys when they are empty", () => {
    const empty = {
      mcp_config: { servers: [] },
      rag: { rag_url: "http://x", collections: [] },
      rag_config: null,
      agent_tools: [],
      prompt_overrides: {},
    };
    expect(parseConfiguration(empty)).toEqual({ temperature: 0.7, max_tokens: 4000 });
  });
});

describe("the configuration's schema", () => {
  const schema = configSchema({ defaultModel: "fake:demo" });
  const properties = schema.properties as Record<string, JsonObject>;

  it("is plain JSON that describes an object without required keys", () => {
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
    expect(schema.type).toBe("object");
    expect(schema.required).toBeUndefined();
  });

  it("carries a form control for each field that a person fills in", () => {
    const controls = Object.fromEntries(
      Object.entries(properties).map(([key, field]) => [key, (field.x_oap_ui_config as JsonObject | undefined)?.type]),
    );
    expect(controls).toEqual({
      model_name: "select",
      temperature: "slider",
      max_tokens: "number",
      system_prompt: "textarea",
      base_url: "text",
      custom_model_name: "text",
      custom_api_key: "password",
      apiKeys: undefined,
      model_name_override: undefined,
    });
    expect(properties.temperature).toMatchObject({
      type: "number",
      default: 0.7,
      x_oap_ui_config: { type: "slider", default: 0.7, min: 0, max: 2, step: 0.1 },
    });
    expect(properties.base_url).toMatchObject({ x_oap_ui_config: { visible_when: { model_name: "custom:" } } });
  });

  it("offers the models it is given, and names the installation's default", () => {
    const models = [{ label: "Ours", value: "ollama:ours" }];
    const own = configSchema({ models, defaultModel: "ollama:ours" }).properties as Record<string, JsonObject>;
    expect(own.model_name).toMatchObject({
      default: "ollama:ours",
      x_oap_ui_config: { default: "ollama:ours", options: models },
    });
    const control = properties.model_name?.x_oap_ui_config as { options: { value: string }[] } | undefined;
    const values = control?.options.map((option) => option.value);
    expect(values).toContain("openai:gpt-4o");
    expect(values).toContain("custom:");
    expect(values).toContain("fake:demo");
  });
});
