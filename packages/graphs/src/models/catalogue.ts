/** One entry of the model list that a user interface offers. `value` is a `model_name`. */
export interface ModelOption {
  label: string;
  value: string;
}

/** What the form offers; any other `provider:model` may be typed over the API. */
export const MODEL_OPTIONS: readonly ModelOption[] = [
  { label: "Claude Opus 5", value: "anthropic:claude-opus-5" },
  { label: "Claude Sonnet 5", value: "anthropic:claude-sonnet-5" },
  { label: "Claude Haiku 4.5", value: "anthropic:claude-haiku-4-5" },
  { label: "Claude Sonnet 4", value: "anthropic:claude-sonnet-4-0" },
  { label: "Claude 3.7 Sonnet", value: "anthropic:claude-3-7-sonnet-latest" },
  { label: "Claude 3.5 Sonnet", value: "anthropic:claude-3-5-sonnet-latest" },
  { label: "Claude 3.5 Haiku", value: "anthropic:claude-3-5-haiku-latest" },
  { label: "GPT 5.6", value: "openai:gpt-5.6" },
  { label: "GPT 5.4 mini", value: "openai:gpt-5.4-mini" },
  { label: "o4 mini", value: "openai:o4-mini" },
  { label: "o3", value: "openai:o3" },
  { label: "o3 mini", value: "openai:o3-mini" },
  { label: "GPT 4o", value: "openai:gpt-4o" },
  { label: "GPT 4o mini", value: "openai:gpt-4o-mini" },
  { label: "GPT 4.1", value: "openai:gpt-4.1" },
  { label: "GPT 4.1 mini", value: "openai:gpt-4.1-mini" },
  { label: "Gemini Pro (2.5)", value: "google:gemini-2.5-pro" },
  { label: "Gemini Flash (latest)", value: "google:gemini-flash-latest" },
  { label: "Custom OpenAI-compatible endpoint", value: "custom:" },
  { label: "Built-in demonstration (no key)", value: "fake:demo" },
  { label: "Built-in echo (no key)", value: "fake:echo" },
];
