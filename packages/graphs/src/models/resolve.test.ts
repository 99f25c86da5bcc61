import { describe, expect, it } from "bun:test";
import { rejection } from "../../tests/support.ts";
import { GraphConfigError } from "../errors.ts";
import { callerRules } from "./caller-url.ts";
import type { Environment } from "./environment.ts";
import { load } from "./providers.ts";
import { chooseModel, type ModelSettings, resolveModel } from "./resolve.ts";

const settings = (given: Partial<ModelSettings>): ModelSettings => ({ temperature: 0.7, max_tokens: 4000, ...given });
const where = (environment: Environment = {}, production = false) => ({
  environment,
  production,
  egress: callerRules({ FRACTAL_EGRESS_ALLOW: "127.0.0.1" }),
});

/** What the model would be called with; the fields are those of LangChain's own classes. */
async function fields(given: Partial<ModelSettings>, environment: Environment = {}): Promise<Record<string, unknown>> {
  return (await resolveModel(settings(given), where(environment))) as unknown as Record<string, unknown>;
}

describe("the model that a configuration chooses", () => {
  it("takes the override before the model's name, and that before the environment", () => {
    const environment = { MODEL_NAME: "ollama:c" };
    const choose = (given: Partial<ModelSettings>) => chooseModel(settings(given), where(environment)).model;
    expect(choose({ model_name_override: "ollama:a", model_name: "ollama:b" })).toBe("a");
    expect(choose({ model_name: "ollama:b" })).toBe("b");
    expect(choose({})).toBe("c");
  });

  it("takes a caller's key before the operator's", () => {
    const environment = { ANTHROPIC_API_KEY: "operator" };
    const choose = (apiKeys: Record<string, string>) =>
      chooseModel(settings({ model_name: "anthropic:x", apiKeys }), where(environment)).apiKey;
    expect(choose({ ANTHROPIC_API_KEY: "caller" })).toBe("caller");
    expect(choose({ OPENAI_API_KEY: "caller" })).toBe("operator");
  });

  it("refuses a run without a key and names the variable", async () => {
    for (const [name, variable] of [
      ["openai:gpt-4o", "OPENAI_API_KEY"],
      ["anthropic:claude-sonnet-5", "ANTHROPIC_API_KEY"],
      ["google:gemini-2.5-pro", "GOOGLE_API_KEY"],
    ] as const) {
      const error = await rejection(fields({ model_name: name }));
      expect(error).toBeInstanceOf(GraphConfigError);
      expect((error as GraphConfigError).code).toBe("unavailable");
      expect(error.message).toContain(`set ${variable}`);
    }
  });

  it("in production with nothing configured is refused, unless the caller brings a model", async () => {
    const error = await rejection(resolveModel(settings({}), where({}, true)));
    expect(error.message).toContain("OPENAI_API_KEY");
    expect(chooseModel(settings({ model_name: "fake:echo" }), where({}, true)).provider).toBe("fake");
  });
});

describe("a custom endpoint", () => {
  const base_url = "http://127.0.0.1:9/v1";

  it("gets the custom name untouched, and of other names loses only a prefix of ours", () => {
    const choose = (given: Partial<ModelSettings>) => chooseModel(settings({ base_url, ...given }), where());
    expect(choose({ custom_model_name: "org:model" }).model).toBe("org:model");
    expect(choose({ custom_model_name: "openai:x" }).model).toBe("openai:x");
    expect(choose({ model_name: "openai:gpt-4o" }).model).toBe("gpt-4o");
    expect(choose({ model_name: "custom:mine" }).model).toBe("mine");
    expect(choose({ model_name: "llama3.2:3b" }).model).toBe("llama3.2:3b");
    expect(choose({ model_name_override: "openai:b", custom_model_name: "a" }).model).toBe("b");
  });

  it("never gets the operator's key: only one that came with the request", () => {
    const environment = { OPENAI_API_KEY: "operator", CUSTOM_API_KEY: "operator", MODEL_NAME: "openai:gpt-4o" };
    const choose = (given: Partial<ModelSettings>) =>
      chooseModel(settings({ base_url, ...given }), where(environment)).apiKey;
    expect(choose({})).toBeUndefined();
    expect(choose({ custom_api_key: "mine" })).toBe("mine");
    expect(choose({ apiKeys: { CUSTOM_API_KEY: "mine" } })).toBe("mine");
  });

  it("and its parts are refused one without the other", () => {
    const choose = (given: Partial<ModelSettings>) => () => chooseModel(settings(given), where());
    expect(choose({ model_name: "custom:" })).toThrow("needs configurable.base_url");
    expect(choose({ model_name: "custom:x" })).toThrow("needs configurable.base_url");
    expect(choose({ model_name: "custom:", base_url })).toThrow("configurable.custom_model_name: required");
    expect(choose({ base_url })).toThrow("set custom_model_name");
    expect(choose({ custom_model_name: "x" })).toThrow(
      "configurable.custom_model_name: only used together with base_url",
    );
    expect(choose({ custom_api_key: "x" })).toThrow("configurable.custom_api_key: only used together with base_url");
  });
});

describe("the provider table", () => {
  it("builds each provider's own class with the settings", async () => {
    const keys = {
      OPENAI_API_KEY: "k",
      ANTHROPIC_API_KEY: "k",
      GOOGLE_API_KEY: "k",
      OLLAMA_BASE_URL: "http://127.0.0.1:9",
    };
    const openai = await fields({ model_name: "openai:gpt-4o" }, keys);
    expect(openai).toMatchObject({ model: "gpt-4o", temperature: 0.7, maxTokens: 4000, apiKey: "k" });
    const anthropic = await fields({ model_name: "anthropic:claude-haiku-4-5" }, keys);
    expect(anthropic).toMatchObject({ model: "claude-haiku-4-5", temperature: 0.7, maxTokens: 4000, apiKey: "k" });
    const google = await fields({ model_name: "google:gemini-2.5-pro" }, keys);
    expect(google).toMatchObject({ model: "gemini-2.5-pro", temperature: 0.7, maxOutputTokens: 4000, apiKey: "k" });
    const ollama = await fields({ model_name: "ollama:llama3.2:3b" }, keys);
    expect(ollama).toMatchObject({ model: "llama3.2:3b", numPredict: 4000, baseUrl: "http://127.0.0.1:9" });
  });

  it("sends no temperature to models that fix their own", async () => {
    const keys = { OPENAI_API_KEY: "k", ANTHROPIC_API_KEY: "k" };
    for (const name of ["openai:o3", "openai:o4-mini", "openai:gpt-5.4-mini", "anthropic:claude-sonnet-5"]) {
      expect((await fields({ model_name: name }, keys)).temperature).toBeUndefined();
    }
    const gateway = { base_url: "http://127.0.0.1:9/v1", custom_model_name: "openai/o3-mini" };
    expect((await fields(gateway)).temperature).toBeUndefined();
    expect((await fields({ model_name: "openai:gpt-5-chat-latest" }, keys)).temperature).toBe(0.7);
  });

  it("sends openai's traffic to OPENAI_BASE_URL, or to OPENAI_API_BASE", async () => {
    const url = async (environment: Environment) =>
      (await fields({ model_name: "gpt-4o" }, { OPENAI_API_KEY: "k", ...environment })).clientConfig;
    expect(await url({ OPENAI_BASE_URL: "http://a/v1" })).toMatchObject({ baseURL: "http://a/v1" });
    expect(await url({ OPENAI_API_BASE: "http://b/v1" })).toMatchObject({ baseURL: "http://b/v1" });
    expect(await url({ OPENAI_BASE_URL: "http://a/v1", OPENAI_API_BASE: "http://b/v1" })).toMatchObject({
      baseURL: "http://a/v1",
    });
  });

  it("never tells a model to stream by itself", async () => {
    for (const name of ["openai:gpt-4o", "anthropic:claude-haiku-4-5", "google:gemini-2.5-pro", "ollama:x"]) {
      const model = await fields(
        { model_name: name },
        { OPENAI_API_KEY: "k", ANTHROPIC_API_KEY: "k", GOOGLE_API_KEY: "k" },
      );
      expect(model.streaming ?? false).toBe(false);
    }
  });

  it("names the package that is not installed", async () => {
    const missing = "@langchain/not-installed";
    const error = await rejection(load(missing, () => import(missing)));
    expect(error.message).toContain("npm install @langchain/not-installed");
    expect(error.cause).toBeDefined();
  });
});
