import { z } from "zod";
import { GraphConfigError } from "../errors.ts";
import { MODEL_OPTIONS, type ModelOption } from "../models/catalogue.ts";
import { DEFAULT_SYSTEM_PROMPT, SYSTEM_PROMPT_SUFFIX } from "./prompt.ts";

export type JsonObject = Record<string, unknown>;

export const description =
  "A general assistant that reasons and calls tools: the clock, a calculator, a person's approval.";

const DEFAULT_TEMPERATURE = 0.7;
const DEFAULT_MAX_TOKENS = 4000;

/** Fields that only make sense for the custom endpoint are shown when it is chosen. */
const CUSTOM_ONLY = { visible_when: { model_name: "custom:" } };

const name = z.string().max(300, "longer than 300 characters");

const AgentConfiguration = z
  .object({
    model_name: name.optional().meta({
      description: "The model as provider:model. Without it the server's own default is used.",
      x_oap_ui_config: { type: "select", description: "The model to use", options: MODEL_OPTIONS },
    }),
    temperature: z
      .number()
      .min(0)
      .max(2)
      .default(DEFAULT_TEMPERATURE)
      .meta({
        description: "Sampling temperature. Not sent to models that fix their own.",
        x_oap_ui_config: {
          type: "slider",
          description: "How freely the model words its answers: 0 is strict, 2 is wild",
          default: DEFAULT_TEMPERATURE,
          min: 0,
          max: 2,
          step: 0.1,
        },
      }),
    max_tokens: z
      .int()
      .min(1)
      .default(DEFAULT_MAX_TOKENS)
      .meta({
        description: "Most tokens that one answer of the model may have.",
        x_oap_ui_config: {
          type: "number",
          description: "Most tokens in one answer",
          default: DEFAULT_MAX_TOKENS,
          min: 1,
        },
      }),
    system_prompt: z
      .string()
      .optional()
      .meta({
        description: "The system prompt; empty means the default.",
        x_oap_ui_config: {
          type: "textarea",
          placeholder: "Enter a system prompt…",
          description: `What the agent is told before the conversation. This is always added: ${SYSTEM_PROMPT_SUFFIX}`,
          default: DEFAULT_SYSTEM_PROMPT,
        },
      }),
    base_url: z
      .url({ protocol: /^https?$/, error: "must be an http or https URL" })
      .refine(
        (url) => !/^[a-z]+:\/\/[^/?#]*@/i.test(url),
        "must not contain a user name or password; use custom_api_key",
      )
      .optional()
      .meta({
        description:
          "An OpenAI-compatible endpoint to call instead of the provider. The server's own keys are never sent to it.",
        x_oap_ui_config: {
          type: "text",
          placeholder: "https://models.example.com/v1",
          description: "Address of the OpenAI-compatible endpoint",
          ...CUSTOM_ONLY,
        },
      }),
    custom_model_name: name.optional().meta({
      description: "The model's name at base_url, sent as it is.",
      x_oap_ui_config: { type: "text", description: "Name of the model at that endpoint", ...CUSTOM_ONLY },
    }),
    custom_api_key: z
      .string()
      .optional()
      .meta({
        description: "The key for base_url.",
        x_oap_ui_config: { type: "password", description: "Key for that endpoint, if it wants one", ...CUSTOM_ONLY },
      }),
    apiKeys: z.record(z.string(), z.string()).optional().meta({
      description: 'Provider keys for this call by their variable\'s name, for example {"OPENAI_API_KEY": "…"}.',
    }),
    model_name_override: name
      .optional()
      .meta({ description: "A model for this call only; goes before every other name." }),
  })
  .meta({ title: "Configuration of the agent" });

export type AgentConfiguration = z.output<typeof AgentConfiguration>;

/** Keys of features that this version does not have, and what each would ask for. */
const NOT_BUILT: Readonly<Record<string, string>> = {
  mcp_config: "MCP servers",
  rag: "document collections",
  rag_config: "document archives",
  agent_tools: "agents as tools",
  prompt_overrides: "prompts managed elsewhere",
};

/**
 * Checks `config.configurable`. Unknown keys are left alone (the server adds its own); absent, null and empty mean the same;
 * a number may be written as text. GraphConfigError "invalid" lists every problem with its path, never a value.
 */
export function parseConfiguration(configurable: JsonObject | undefined): AgentConfiguration {
  const given = configurable ?? {};
  const refused = Object.entries(NOT_BUILT)
    .filter(([key]) => Object.hasOwn(given, key) && !isEmpty(key, given[key]))
    .map(
      ([key, feature]) =>
        `configurable.${key}: ${feature} are not supported by this version; remove the key or leave it empty`,
    );
  const parsed = AgentConfiguration.safeParse(normalize(given));
  const invalid = (parsed.error?.issues ?? []).map(
    (issue) => `${["configurable", ...issue.path].join(".")}: ${issue.message}`,
  );
  const problems = [...invalid, ...refused];
  if (!parsed.success || problems.length > 0) {
    throw new GraphConfigError("invalid", `Invalid configuration of the agent. ${problems.join(". ")}`);
  }
  return parsed.data;
}

/**
 * JSON Schema (draft 2020-12) of `config.configurable`, for `config_schema`: each field carries its form control as
 * `x_oap_ui_config`. Both options fill in what only the installation knows.
 */
export function configSchema(options: { models?: readonly ModelOption[]; defaultModel?: string } = {}): JsonObject {
  const schema = z.toJSONSchema(AgentConfiguration, { io: "input" }) as JsonObject & {
    properties: Record<string, JsonObject>;
  };
  const model = schema.properties.model_name ?? {};
  const control = { ...(model.x_oap_ui_config as JsonObject), options: options.models ?? MODEL_OPTIONS };
  const fallback = options.defaultModel === undefined ? {} : { default: options.defaultModel };
  return {
    ...schema,
    properties: {
      ...schema.properties,
      model_name: { ...model, ...fallback, x_oap_ui_config: { ...control, ...fallback } },
    },
  };
}

const NUMERIC = ["temperature", "max_tokens"];

/** Forms send empty text for "not filled in" and numbers as text. */
function normalize(given: JsonObject): JsonObject {
  const known: JsonObject = {};
  for (const key of Object.keys(AgentConfiguration.shape)) {
    const value = Object.hasOwn(given, key) ? given[key] : undefined;
    if (value === undefined || value === null || (typeof value === "string" && value.trim() === "")) continue;
    known[key] =
      NUMERIC.includes(key) && typeof value === "string" && Number.isFinite(Number(value)) ? Number(value) : value;
  }
  const limit = known.max_tokens;
  if (typeof limit === "number" && Number.isFinite(limit)) known.max_tokens = Math.round(limit);
  const keys = known.apiKeys;
  if (typeof keys === "object" && keys !== null && !Array.isArray(keys)) {
    known.apiKeys = Object.fromEntries(Object.entries(keys).filter(([, key]) => key !== null && key !== ""));
  }
  return known;
}

/** Nothing asked for: null, "", [], {}, or an object with only such values. A form fills in `rag_url` by itself. */
function isEmpty(key: string, value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  if (Array.isArray(value)) return value.length === 0;
  if (typeof value !== "object") return false;
  return Object.entries(value).every(([field, inner]) => (key === "rag" && field === "rag_url") || isEmpty(key, inner));
}
