import type { BaseChatModel } from "@langchain/core/language_models/chat_models";
import { GraphConfigError } from "../errors.ts";
import { readVariable } from "./environment.ts";
import { KEY_VARIABLES, knownPrefix, parseModelName, requireDefaultModel } from "./names.ts";
import { buildModel, type ModelChoice, type ModelSurroundings } from "./providers.ts";

/** The keys of a graph's configuration that decide its model. Absent and empty mean the same. */
export interface ModelSettings {
  model_name?: string | undefined;
  model_name_override?: string | undefined;
  custom_model_name?: string | undefined;
  base_url?: string | undefined;
  custom_api_key?: string | undefined;
  apiKeys?: Readonly<Record<string, string>> | undefined;
  temperature: number;
  max_tokens: number;
}

export interface ModelEnvironment extends ModelSurroundings {
  production: boolean;
}

type NameSource = Omit<ModelEnvironment, "egress">;

/** Loads the provider and returns its chat model. GraphConfigError when the settings or the installation forbid it. */
export async function resolveModel(settings: ModelSettings, where: ModelEnvironment): Promise<BaseChatModel> {
  return buildModel(chooseModel(settings, where), where);
}

/**
 * Decides provider, name and key. Order of names: model_name_override, custom_model_name, model_name, the environment.
 * With base_url the endpoint is the caller's choice, so the operator's keys stay here.
 */
export function chooseModel(settings: ModelSettings, where: NameSource): ModelChoice {
  const sampling = { temperature: settings.temperature, maxTokens: settings.max_tokens };
  if (settings.base_url) {
    return {
      provider: "custom",
      model: nameForEndpoint(settings, where),
      callerUrl: settings.base_url,
      apiKey: settings.custom_api_key ?? settings.apiKeys?.CUSTOM_API_KEY,
      ...sampling,
    };
  }
  const { name, source } = nameForProvider(settings, where);
  const { provider, model } = parseModelName(name, source);
  if (provider === "custom") {
    throw new GraphConfigError("invalid", `${source}: "${name}" needs configurable.base_url, the endpoint to call`);
  }
  for (const key of ["custom_model_name", "custom_api_key"] as const) {
    if (settings[key])
      throw new GraphConfigError("invalid", `configurable.${key}: only used together with base_url, which is not set`);
  }
  const variable = KEY_VARIABLES[provider];
  const apiKey = variable && (settings.apiKeys?.[variable] ?? readVariable(where.environment, variable));
  return { provider, model, apiKey, ...sampling };
}

function nameForProvider(settings: ModelSettings, where: NameSource): { name: string; source: string } {
  if (settings.model_name_override) {
    return { name: settings.model_name_override, source: "configurable.model_name_override" };
  }
  if (settings.model_name) return { name: settings.model_name, source: "configurable.model_name" };
  return requireDefaultModel(where.environment, where.production);
}

/** A caller's endpoint gets `custom_model_name` untouched; from other names only a prefix of ours is taken off. */
function nameForEndpoint(settings: ModelSettings, where: NameSource): string {
  if (settings.custom_model_name && !settings.model_name_override) return settings.custom_model_name;
  const { name, source } = nameForProvider(settings, where);
  const known = knownPrefix(name);
  if (known?.provider === "fake") {
    throw new GraphConfigError(
      "invalid",
      `configurable.base_url: no model to ask for there; set custom_model_name (${source} gives the built-in "${name}")`,
    );
  }
  const model = known ? known.model : name;
  if (model === "")
    throw new GraphConfigError("invalid", `configurable.custom_model_name: required with base_url and "${name}"`);
  return model;
}
