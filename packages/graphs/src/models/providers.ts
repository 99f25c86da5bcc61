import type { EgressRules } from "@fractal-agents/infra/egress/rules";
import type { BaseChatModel } from "@langchain/core/language_models/chat_models";
import { GraphConfigError } from "../errors.ts";
import { callerFetch, checkCallerUrl } from "./caller-url.ts";
import { type Environment, readVariable } from "./environment.ts";
import { fakeModel } from "./fake/model.ts";
import { KEY_VARIABLES, type ProviderName } from "./names.ts";

/** A model that is decided: provider, name and credentials. */
export interface ModelChoice {
  provider: ProviderName;
  model: string;
  temperature: number;
  maxTokens: number;
  apiKey?: string | undefined;
  /** Set when the caller chose the endpoint: nothing of the operator's may be sent there. */
  callerUrl?: string | undefined;
}

/** What a provider's client is built with, besides the caller's choice. */
export interface ModelSurroundings {
  environment: Environment;
  /** Where a caller's endpoint may lie. */
  egress: EgressRules;
}

/**
 * Models that refuse a temperature other than their own: OpenAI's reasoning lines, and the Claude lines that
 * think adaptively. Sending one is a 400 from the provider, or an exception in its client.
 */
const FIXED_TEMPERATURE: Readonly<Partial<Record<ProviderName, RegExp>>> = {
  openai: /^(o\d|gpt-[56](?!.*-chat))/,
  custom: /^(o\d(-|$)|gpt-[56](?!.*-chat))/,
  anthropic: /^claude-(opus-4-[78]|opus-5|sonnet-5|fable-5|mythos)/,
};

/**
 * Nothing here sets `streaming`: tokens are produced when somebody listens, and a model told to stream without a
 * listener counts its tokens with a tokenizer file from a public host.
 */
const BUILDERS: Readonly<
  Record<ProviderName, (choice: ModelChoice, where: ModelSurroundings) => Promise<BaseChatModel>>
> = {
  openai: async (choice, { environment }) => {
    const { ChatOpenAI } = await load("@langchain/openai", () => import("@langchain/openai"));
    const baseURL = readVariable(environment, "OPENAI_BASE_URL") ?? readVariable(environment, "OPENAI_API_BASE");
    return new ChatOpenAI({
      model: choice.model,
      maxTokens: choice.maxTokens,
      apiKey: requireKey(choice),
      ...temperature(choice),
      ...(baseURL ? { configuration: { baseURL } } : {}),
    });
  },
  custom: async (choice, { egress }) => {
    // Before the first call as well: what the guard says then would be taken for a fault of the network, and tried again.
    await checkCallerUrl(choice.callerUrl, egress);
    const { ChatOpenAI } = await load("@langchain/openai", () => import("@langchain/openai"));
    return new ChatOpenAI({
      model: choice.model,
      maxTokens: choice.maxTokens,
      apiKey: choice.apiKey ?? "EMPTY",
      ...temperature(choice),
      configuration: {
        baseURL: choice.callerUrl ?? null,
        adminAPIKey: null,
        organization: null,
        project: null,
        fetch: callerFetch(egress),
      },
    });
  },
  anthropic: async (choice, { environment }) => {
    const { ChatAnthropic } = await load("@langchain/anthropic", () => import("@langchain/anthropic"));
    const anthropicApiUrl = readVariable(environment, "ANTHROPIC_BASE_URL");
    return new ChatAnthropic({
      model: choice.model,
      maxTokens: choice.maxTokens,
      apiKey: requireKey(choice),
      ...temperature(choice),
      ...(anthropicApiUrl ? { anthropicApiUrl } : {}),
    });
  },
  google: async (choice, { environment }) => {
    const { ChatGoogleGenerativeAI } = await load("@langchain/google-genai", () => import("@langchain/google-genai"));
    const baseUrl = readVariable(environment, "GOOGLE_GEMINI_BASE_URL");
    return new ChatGoogleGenerativeAI({
      model: choice.model,
      maxOutputTokens: choice.maxTokens,
      apiKey: requireKey(choice),
      ...temperature(choice),
      ...(baseUrl ? { baseUrl } : {}),
    });
  },
  ollama: async (choice, { environment }) => {
    const { ChatOllama } = await load("@langchain/ollama", () => import("@langchain/ollama"));
    const baseUrl = readVariable(environment, "OLLAMA_BASE_URL");
    return new ChatOllama({
      model: choice.model,
      numPredict: choice.maxTokens,
      ...temperature(choice),
      ...(baseUrl ? { baseUrl } : {}),
    });
  },
  fake: async (choice) => fakeModel(choice.model),
};

/** The chat model for a choice. The provider's package is imported here, the first time it is needed. */
export function buildModel(choice: ModelChoice, where: ModelSurroundings): Promise<BaseChatModel> {
  return BUILDERS[choice.provider](choice, where);
}

/** Runs an import and turns "not installed" into an error that says what to install. */
export async function load<T>(packageName: string, importPackage: () => Promise<T>): Promise<T> {
  try {
    return await importPackage();
  } catch (cause) {
    throw new GraphConfigError(
      "unavailable",
      `The package ${packageName} cannot be loaded: npm install ${packageName}`,
      {
        cause,
      },
    );
  }
}

function temperature(choice: ModelChoice): { temperature?: number } {
  // A gateway's name may carry a path ("openai/o3-mini"); the line is in its last part.
  const line = choice.model.slice(choice.model.lastIndexOf("/") + 1);
  return FIXED_TEMPERATURE[choice.provider]?.test(line) ? {} : { temperature: choice.temperature };
}

function requireKey(choice: ModelChoice): string {
  if (choice.apiKey) return choice.apiKey;
  throw new GraphConfigError(
    "unavailable",
    `No API key for the model "${choice.provider}:${choice.model}": set ${KEY_VARIABLES[choice.provider]} ` +
      `in the environment or in configurable.apiKeys`,
  );
}
