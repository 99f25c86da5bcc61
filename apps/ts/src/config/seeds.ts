import { z } from "zod";
import type { AssistantSeeds } from "#core/assistants/system";

const JsonObject = z.record(z.string(), z.unknown());

/** A LangChain config with the context beside it. */
const Seed = z.looseObject({
  tags: z.array(z.string()).optional(),
  recursion_limit: z.number().int().min(1).max(1000).optional(),
  configurable: JsonObject.optional(),
  metadata: JsonObject.optional(),
  context: JsonObject.optional(),
});

/** LANGGRAPH_CONFIG: graph id to what its system assistant is made with. */
export function readSeeds(value: Readonly<Record<string, unknown>> | undefined): {
  seeds: AssistantSeeds;
  problems: string[];
} {
  const parsed = z.record(z.string(), Seed).safeParse(value ?? {});
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      (issue) => `${["LANGGRAPH_CONFIG", ...issue.path].join(".")} is wrong: ${issue.message}`,
    );
    return { seeds: {}, problems };
  }
  const seeds = Object.entries(parsed.data).map(([graphId, { context, ...config }]) => [
    graphId,
    { config, ...(context !== undefined && { context }) },
  ]);
  return { seeds: Object.fromEntries(seeds) as AssistantSeeds, problems: [] };
}
