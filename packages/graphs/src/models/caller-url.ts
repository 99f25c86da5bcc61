import { createGuardedFetch, type Fetch } from "@fractal-agents/infra/egress/guarded-fetch";
import { EgressError, EgressRules } from "@fractal-agents/infra/egress/rules";
import { GraphConfigError } from "../errors.ts";
import { type Environment, readVariable } from "./environment.ts";

/** Endpoints that the operator's environment names: a caller may name them too, inside the network or not. */
const OPERATOR_URLS = ["OPENAI_BASE_URL", "OPENAI_API_BASE", "OLLAMA_BASE_URL"];

/** Where the endpoint of a caller may lie. @param urls Further endpoints of the operator's own configuration. */
export function callerRules(environment: Environment, urls: readonly string[] = []): EgressRules {
  const named = OPERATOR_URLS.flatMap((name) => readVariable(environment, name) ?? []);
  const allow = readVariable(environment, "FRACTAL_EGRESS_ALLOW")?.split(/[\s,]+/) ?? [];
  return new EgressRules({ allow: allow.filter((entry) => entry !== ""), operatorUrls: [...named, ...urls] });
}

/** GraphConfigError "invalid" when the server must not call that endpoint. */
export async function checkCallerUrl(url: string | undefined, rules: EgressRules): Promise<void> {
  const parsed = URL.parse(url ?? "");
  if (parsed === null) throw new GraphConfigError("invalid", "configurable.base_url: is no URL");
  try {
    await rules.addresses(parsed);
  } catch (cause) {
    if (!(cause instanceof EgressError)) throw cause;
    throw new GraphConfigError("invalid", `configurable.base_url: ${cause.message}`, { cause });
  }
}

const FORWARDED = /^(accept|authorization|content-type|user-agent|x-stainless-.*)$/;

/**
 * The fetch of a client that calls a caller's endpoint: through the guard, and without the headers that the OpenAI client
 * takes from its own environment (OPENAI_CUSTOM_HEADERS and others).
 */
export function callerFetch(rules: EgressRules): typeof fetch {
  const guarded: Fetch = createGuardedFetch(rules);
  const call: Fetch = async (input, init) => {
    const headers = new Headers(init?.headers);
    for (const name of [...headers.keys()]) if (!FORWARDED.test(name)) headers.delete(name);
    try {
      return await guarded(input, { ...init, headers });
    } catch (error) {
      if (!(error instanceof EgressError)) throw error;
      // Clients retry what fails on the way, and not what is forbidden.
      return Response.json({ error: { message: error.message, type: "egress_refused" } }, { status: 403 });
    }
  };
  return Object.assign(call, { preconnect: () => {} });
}
