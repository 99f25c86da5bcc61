import { describe, expect, it } from "bun:test";
import { GraphConfigError } from "../errors.ts";
import { defaultModel, describeModel, parseModelName, requireDefaultModel } from "./names.ts";

describe("a model's name", () => {
  it("is split at its first colon, and belongs to openai without one", () => {
    expect(parseModelName("gpt-4o", "test")).toEqual({ provider: "openai", model: "gpt-4o" });
    expect(parseModelName("ollama:llama3.2:3b", "test")).toEqual({ provider: "ollama", model: "llama3.2:3b" });
    expect(parseModelName("Anthropic: claude-sonnet-5", "test")).toEqual({
      provider: "anthropic",
      model: "claude-sonnet-5",
    });
    expect(parseModelName("google-genai:gemini-2.5-pro", "test").provider).toBe("google");
    expect(parseModelName("google:gemini-2.5-pro", "test").provider).toBe("google");
  });

  it("with an unknown provider is refused with the list of the known ones", () => {
    const parse = () => parseModelName("mistral:large", "MODEL_NAME");
    expect(parse).toThrow(GraphConfigError);
    expect(parse).toThrow('MODEL_NAME: unknown model provider "mistral"');
    expect(parse).toThrow("openai, anthropic, google, google-genai, ollama, custom, fake");
    expect(() => parseModelName("constructor:x", "test")).toThrow("unknown model provider");
  });

  it("without a model is refused, except for the custom endpoint", () => {
    expect(() => parseModelName("openai:", "test")).toThrow("names a provider but no model");
    expect(parseModelName("custom:", "test")).toEqual({ provider: "custom", model: "" });
  });
});

describe("the default model", () => {
  it("is MODEL_NAME, else the model of the first key found, else the demonstration", () => {
    expect(defaultModel({ MODEL_NAME: "ollama:x", OPENAI_API_KEY: "k" }).name).toBe("ollama:x");
    expect(defaultModel({ OPENAI_API_KEY: "k", ANTHROPIC_API_KEY: "k" }).name).toBe("openai:gpt-4o");
    expect(defaultModel({ ANTHROPIC_API_KEY: "k" }).name).toStartWith("anthropic:claude-");
    expect(defaultModel({ GOOGLE_API_KEY: "k" }).name).toStartWith("google:gemini-");
    expect(defaultModel({}).name).toBe("fake:demo");
    expect(defaultModel({ MODEL_NAME: " ", OPENAI_API_KEY: "" }).name).toBe("fake:demo");
  });

  it("in production is never the demonstration unless somebody asked for it", () => {
    expect(() => requireDefaultModel({}, true)).toThrow(
      "set MODEL_NAME or one of OPENAI_API_KEY, ANTHROPIC_API_KEY, GOOGLE_API_KEY",
    );
    expect(requireDefaultModel({ MODEL_NAME: "fake:demo" }, true).name).toBe("fake:demo");
    expect(requireDefaultModel({}, false).name).toBe("fake:demo");
  });

  it("is described for people, with the reason why runs would be refused", () => {
    expect(describeModel({}, { production: false })).toEqual({ name: "fake:demo", fake: true });
    expect(describeModel({ OPENAI_API_KEY: "k" }, { production: true })).toEqual({
      name: "openai:gpt-4o",
      fake: false,
    });
    expect(describeModel({}, { production: true }).problem).toContain("MODEL_NAME");
    expect(describeModel({ MODEL_NAME: "anthropic:x" }, { production: false }).problem).toBe(
      "ANTHROPIC_API_KEY is not set",
    );
    expect(describeModel({ MODEL_NAME: "nope:x" }, { production: false }).problem).toContain(
      'unknown model provider "nope"',
    );
    expect(describeModel({ MODEL_NAME: "custom:x" }, { production: false }).problem).toContain("base_url");
  });
});
