import { GraphConfigError } from "../errors.ts";
import { type Environment, readVariable } from "./environment.ts";

export type ProviderName = "openai" | "anthropic" | "google" | "ollama" | "custom" | "fake";

export interface ModelName {
  provider: ProviderName;
  /** What the provider calls the model; empty for `custom:` alone. */
  model: string;
}

/** Prefix as written to provider: the second spelling of Google is LangChain's own. */
const PREFIXES: Readonly<Record<string, ProviderName>> = {
  openai: "openai",
  anthropic: "anthropic",
  google: "google",
  "google-genai": "google",
  ollama: "ollama",
  custom: "custom",
  fake: "fake",
};

/** The variable that holds each provider's key; providers without one need none. */
export const KEY_VARIABLES: Readonly<Partial<Record<ProviderName, string>>> = {
  openai: "OPENAI_API_KEY",
  anthropic: "ANTHROPIC_API_KEY",
  google: "GOOGLE_API_KEY",
};

/** The model used when only that provider's key is set, in the order in which the keys are looked for. */
const DEFAULTS: ReadonlyArray<readonly [variable: string, model: string]> = [
  ["OPENAI_API_KEY", "openai:gpt-4o"],
  ["ANTHROPIC_API_KEY", "anthropic:claude-sonnet-5"],
  ["GOOGLE_API_KEY", "google:gemini-flash-latest"],
];

export const DEMO_MODEL = "fake:demo";

const NOTHING_CONFIGURED = `No model is configured: set MODEL_NAME or one of ${DEFAULTS.map(([name]) => name).join(", ")}`;

/** The provider that a name's prefix means, or undefined when the prefix is none of ours. */
export function knownPrefix(name: string): ModelName | undefined {
  const colon = name.indexOf(":");
  if (colon < 0) return undefined;
  const prefix = name.slice(0, colon).trim().toLowerCase();
  const provider = Object.hasOwn(PREFIXES, prefix) ? PREFIXES[prefix] : undefined;
  return provider && { provider, model: name.slice(colon + 1).trim() };
}

/**
 * `provider:model`, split at the first colon; without a colon the provider is openai.
 * @param source Where the name came from ("MODEL_NAME", "configurable.model_name"), for the error's text.
 */
export function parseModelName(name: string, source: string): ModelName {
  const known = knownPrefix(name);
  if (known) {
    if (known.model === "" && known.provider !== "custom") {
      throw new GraphConfigError("invalid", `${source}: "${name}" names a provider but no model`);
    }
    return known;
  }
  if (!name.includes(":")) return { provider: "openai", model: name.trim() };
  throw new GraphConfigError(
    "invalid",
    `${source}: unknown model provider "${name.slice(0, name.indexOf(":"))}" in "${name}". ` +
      `Known providers: ${Object.keys(PREFIXES).join(", ")}. ` +
      `An OpenAI model whose own name has a colon is written "openai:${name}"`,
  );
}

/** What the environment alone decides. `fallback` is true when nothing was configured at all. */
export function defaultModel(environment: Environment): { name: string; source: string; fallback: boolean } {
  const named = readVariable(environment, "MODEL_NAME");
  if (named) return { name: named, source: "MODEL_NAME", fallback: false };
  for (const [variable, name] of DEFAULTS) {
    if (readVariable(environment, variable)) return { name, source: variable, fallback: false };
  }
  return { name: DEMO_MODEL, source: "the built-in default", fallback: true };
}

/** The default, or an error: a server in production never answers from the demonstration model by accident. */
export function requireDefaultModel(environment: Environment, production: boolean): { name: string; source: string } {
  const chosen = defaultModel(environment);
  if (chosen.fallback && production) {
    throw new GraphConfigError(
      "unavailable",
      `${NOTHING_CONFIGURED} (NODE_ENV=production does not fall back to the built-in demonstration model; ` +
        `MODEL_NAME=${DEMO_MODEL} asks for it explicitly)`,
    );
  }
  return chosen;
}

/**
 * The default model for the start banner and `/info`. `problem` says why runs that rely on it would be refused
 * (the name is then still what was asked for, or "none"). Reads names only: no provider package is loaded.
 */
export function describeModel(
  environment: Environment,
  { production }: { production: boolean },
): { name: string; fake: boolean; problem?: string } {
  const chosen = defaultModel(environment);
  if (chosen.fallback && production) return { name: "none", fake: false, problem: NOTHING_CONFIGURED };
  try {
    const { provider } = parseModelName(chosen.name, chosen.source);
    const variable = KEY_VARIABLES[provider];
    const base = { name: chosen.name, fake: provider === "fake" };
    if (provider === "custom") {
      return { ...base, problem: `${chosen.source}: "${chosen.name}" needs a base_url from each assistant or run` };
    }
    return variable && !readVariable(environment, variable) ? { ...base, problem: `${variable} is not set` } : base;
  } catch (error) {
    if (!(error instanceof GraphConfigError)) throw error;
    return { name: chosen.name, fake: false, problem: error.message };
  }
}
