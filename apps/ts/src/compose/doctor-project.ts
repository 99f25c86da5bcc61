import { readFile } from "node:fs/promises";
import { describeModel } from "@fractal-agents/graphs/models/names";
import { resolveModel } from "@fractal-agents/graphs/models/resolve";
import { EgressRules } from "@fractal-agents/infra/egress/rules";
import { createLogger } from "@fractal-agents/infra/logger";
import type { Config } from "#config";
import type { Finding } from "#core/diagnosis";
import { errorText } from "#core/graphs/load";
import type { GraphInfo, GraphRegistry } from "#core/graphs/registry";
import { loadGraphs, servesShipped } from "./graphs.ts";
import { offerLogger } from "./sdk-logger.ts";

/** What a graph's own file gives away about the key that it will need. */
const PROVIDERS: readonly (readonly [signs: RegExp, name: string, variable: string])[] = [
  [/@langchain\/openai|["'`]openai:/, "OpenAI", "OPENAI_API_KEY"],
  [/@langchain\/anthropic|["'`]anthropic:/, "Anthropic", "ANTHROPIC_API_KEY"],
  [/@langchain\/google-genai|["'`]google(-genai)?:/, "Google", "GOOGLE_API_KEY"],
];

/** Which folder and langgraph.json are read, whether every graph loads, and whether there is a model with a key. */
export async function examineProject(config: Config, given: { cwd: string; version: string }): Promise<Finding[]> {
  return [folder(config, given.cwd), ...(await graphs(config, given.version)), ...(await models(config))];
}

function folder(config: Config, cwd: string): Finding {
  const id = "project";
  if (config.configPath !== undefined) return { id, status: "ok", text: `The project is ${config.configPath}` };
  if (!servesShipped(config)) return { id, status: "ok", text: `The graphs are those of LANGSERVE_GRAPHS, in ${cwd}` };
  return {
    id,
    status: "ok",
    text: `There is no langgraph.json in ${cwd}: the demonstration agent is served`,
    advice: "To serve graphs of your own, go to their folder, or name their langgraph.json with --config",
  };
}

async function graphs(config: Config, version: string): Promise<Finding[]> {
  // What is wrong with a graph is a finding; a log line would be one more.
  const logger = createLogger({ level: "silent", json: true, write: () => undefined });
  offerLogger(logger);
  const registry = await loadGraphs(config, { version, logger });
  const sources = new Map(config.graphs.map(({ id, source }) => [id, source]));
  return Promise.all(registry.list().map((info) => graph(info, registry, sources.get(info.id))));
}

async function graph(info: GraphInfo, registry: GraphRegistry, source = "shipped"): Promise<Finding> {
  const id = `graphs.${info.id}`;
  try {
    await registry.build(info.id, { accessContext: "assistants.read", config: { configurable: {} } });
    return { id, status: "ok", text: `Graph "${info.id}" loads (${source})` };
  } catch (error) {
    return { id, status: "fail", text: errorText(error) };
  }
}

async function models(config: Config): Promise<Finding[]> {
  if (servesShipped(config)) return [await shippedModel(config)];
  const { environment } = config;
  const sources = await Promise.all(config.graphs.map(async ({ id, path }) => ({ id, text: await textOf(path) })));
  return PROVIDERS.flatMap(([signs, name, variable]): Finding[] => {
    const users = sources.filter(({ text }) => signs.test(text)).map((source) => `"${source.id}"`);
    if (users.length === 0) return [];
    const use = `${users.length === 1 ? "Graph" : "Graphs"} ${users.join(", ")}: the code names ${name}`;
    if (variable in environment)
      return [{ id: `keys.${variable}`, status: "ok", text: `${use}, and ${variable} is set` }];
    const advice = `Set ${variable} in the environment or in .env`;
    return [{ id: `keys.${variable}`, status: "warn", text: `${use}, but ${variable} is not set`, advice }];
  });
}

/** The file of a graph that cannot be read is reported by its graph already. */
async function textOf(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}

async function shippedModel({ environment, production }: Config): Promise<Finding> {
  const id = "model";
  const { name, fake, problem } = describeModel(environment, { production });
  if (problem !== undefined) return { id, status: "fail", text: `Model ${name}: ${problem}` };
  if (fake && environment.MODEL_NAME === undefined) {
    const advice = "Set OPENAI_API_KEY, ANTHROPIC_API_KEY or GOOGLE_API_KEY, or MODEL_NAME";
    return { id, status: "warn", text: "No model is configured: the demonstration model answers", advice };
  }
  try {
    const sampling = { temperature: 0, max_tokens: 1 };
    await resolveModel(sampling, { environment, production, egress: new EgressRules() });
    return { id, status: "ok", text: `Model ${name}${fake ? "" : ": what it needs is set and installed"}` };
  } catch (error) {
    return { id, status: "fail", text: `Model ${name}: ${errorText(error)}` };
  }
}
