import type { BaseChatModel } from "@langchain/core/language_models/chat_models";
import { SystemMessage } from "@langchain/core/messages";
import { createAgent } from "langchain";
import { callerRules } from "../models/caller-url.ts";
import type { Environment } from "../models/environment.ts";
import { type ModelEnvironment, resolveModel } from "../models/resolve.ts";
import { UnreadModel } from "../models/unread.ts";
import { requestApproval } from "../tools/approval.ts";
import { calculator } from "../tools/calculator.ts";
import { createClock } from "../tools/clock.ts";
import { type AgentConfiguration, type JsonObject, parseConfiguration } from "./configuration.ts";
import { systemPrompt } from "./prompt.ts";
import { answerOpenCalls } from "./unanswered.ts";

/** What a LangGraph server passes to a factory; only `configurable` matters here. */
export interface FactoryConfig {
  configurable?: JsonObject | undefined;
}

/** Why the graph is built. Without it, as older servers call, it is built for a run. */
export interface FactoryRuntime {
  accessContext?: string | undefined;
  executionRuntime?: unknown;
}

export type AgentGraph = ReturnType<typeof compile>;
export type AgentFactory = (config: FactoryConfig, runtime?: FactoryRuntime) => Promise<AgentGraph>;

export interface AgentOptions {
  production?: boolean | undefined;
  operatorUrls?: readonly string[] | undefined;
}

/** Compiled graphs kept for reuse: compiling costs more than a short run. */
const KEPT = 32;

/**
 * The agent's factory: builds the graph for one configuration. Checkpointer and store come from the server with each
 * run; the graph has none of its own, and it may be shared by runs.
 *
 * @param environment Where keys, MODEL_NAME and endpoints are looked up.
 * @param options.operatorUrls Endpoints that callers may name although they are not public, besides those of the environment.
 * @param options.production Refuse to fall back to the demonstration model. Default: NODE_ENV is "production".
 * @returns A factory that throws GraphConfigError when the configuration or the installation does not allow a run.
 */
export function createReactAgent(environment: Environment, options: AgentOptions = {}): AgentFactory {
  const where = {
    environment,
    production: options.production ?? environment.NODE_ENV === "production",
    egress: callerRules(environment, options.operatorUrls),
  };
  const graphs = new Map<string, AgentGraph>();
  let unread: AgentGraph | undefined;

  return async (config, runtime) => {
    if (isRead(runtime)) {
      // Tools and shape are the same in every configuration, so a stored bad one cannot hide a thread.
      unread ??= compile(new UnreadModel(), undefined);
      return unread;
    }
    const configuration = parseConfiguration(config.configurable);
    if (hasSecrets(configuration)) return build(configuration, where);
    const key = JSON.stringify(Object.entries(configuration).sort(([a], [b]) => (a < b ? -1 : 1)));
    const graph = graphs.get(key) ?? (await build(configuration, where));
    // Re-inserted, so that the first key is always the one unused for longest.
    graphs.delete(key);
    graphs.set(key, graph);
    const oldest = graphs.keys().next();
    if (graphs.size > KEPT && !oldest.done) graphs.delete(oldest.value);
    return graph;
  };
}

async function build(configuration: AgentConfiguration, where: ModelEnvironment): Promise<AgentGraph> {
  return compile(await resolveModel(configuration, where), configuration.system_prompt);
}

function compile(model: BaseChatModel, prompt: string | undefined) {
  const agent = createAgent({
    name: "agent",
    model,
    tools: [createClock(Date.now), calculator, requestApproval],
    middleware: [answerOpenCalls],
    // A message, not a text: the text would go out as a list of blocks, which many OpenAI-compatible servers refuse.
    systemPrompt: new SystemMessage(systemPrompt(prompt)),
  });
  return agent.graph;
}

function isRead(runtime: FactoryRuntime | undefined): boolean {
  return runtime?.accessContext !== undefined && runtime.accessContext !== "threads.create_run";
}

/** A caller's keys live as long as the run: a graph that holds one is neither kept nor shared. */
function hasSecrets(configuration: AgentConfiguration): boolean {
  return configuration.custom_api_key !== undefined || Object.keys(configuration.apiKeys ?? {}).length > 0;
}
