/** A setting that would change what the server keeps, guards or promises, and that the code does not do yet. */
interface Refusal {
  /** The values that are refused; every non-empty one when absent. */
  when?: (value: string) => boolean;
  why: string;
}

const SUPABASE = "authentication is not supported yet; unset it to serve without authentication";
const LANGFUSE = "Langfuse tracing and prompts are not supported yet; unset it";

/** Ignoring one of these would lose data, open a door or drop a trace that somebody counts on. */
export const REFUSED_VARIABLES: Readonly<Record<string, Refusal>> = {
  SUPABASE_URL: { why: SUPABASE },
  SUPABASE_KEY: { why: SUPABASE },
  SUPABASE_SECRET: { why: SUPABASE },
  SUPABASE_JWT_SECRET: { why: SUPABASE },
  LANGGRAPH_AUTH_TYPE: { when: (value) => value !== "noop", why: SUPABASE },
  LANGGRAPH_AES_KEY: { why: "encryption of stored data is not supported yet; unset it to store data unencrypted" },
  AGENT_SYNC_SCOPE: {
    when: (value) => value !== "none",
    why: "agent sync is not supported yet; unset it or set it to none",
  },
  LANGFUSE_SECRET_KEY: { why: LANGFUSE },
  LANGFUSE_PUBLIC_KEY: { why: LANGFUSE },
  SEMANTIC_ROUTER_ENABLED: {
    when: (value) => !["false", "0", "no", "off"].includes(value.toLowerCase()),
    why: "the semantic router is not supported yet; unset it or set it to false",
  },
  CUSTOM_API_KEY: {
    why: "the server's own key is never sent to an endpoint that a caller names; put custom_api_key beside base_url in the assistant's config",
  },
  MOUNT_PREFIX: { why: "serving below a path prefix is not supported yet; unset it" },
};

/** Keys of langgraph.json by path. A key that is absent, null, false or empty asks for nothing. */
export const REFUSED_KEYS: Readonly<Record<string, string>> = {
  auth: "custom authentication is not supported yet; remove it to serve without authentication",
  encryption: "encryption of stored data is not supported yet; remove it to store data unencrypted",
  "http.app": "a custom app is not supported yet; remove it",
  "http.middleware_order": "a custom app is not supported yet; remove it",
  "http.enable_custom_route_auth": "authentication is not supported yet; remove it",
  "http.mount_prefix": "serving below a path prefix is not supported yet; remove it",
  "http.configurable_headers": "headers as configuration are not supported yet; remove it",
  "store.index": "semantic search in the store is not supported yet; remove it",
  "checkpointer.path": "a custom checkpointer is not supported; this server brings its own",
  "checkpointer.backend": "another checkpointer backend is not supported; this server brings its own",
  "checkpointer.serde": "rules for the checkpointer's serialisation are not supported yet; remove it",
  webhooks: "webhooks are not supported yet; remove it",
  ui: "generative UI is not supported yet; remove it",
};

export function refusedVariables(environment: Readonly<Record<string, string>>): string[] {
  return Object.entries(REFUSED_VARIABLES).flatMap(([name, refusal]) => {
    const value = environment[name];
    if (value === undefined || refusal.when?.(value) === false) return [];
    return [`${name}: ${refusal.why}`];
  });
}

export function refusedKeys(document: Readonly<Record<string, unknown>>, where: (key: string) => string): string[] {
  return Object.entries(REFUSED_KEYS).flatMap(([path, why]) => {
    const value = path.split(".").reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), document);
    return asksForSomething(value) ? [`${where(path)}: ${why}`] : [];
  });
}

function asksForSomething(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === "") return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
