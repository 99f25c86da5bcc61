import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository, whatever folder npm was started from. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Settings that would make a test talk to a real model, a real database or a real tracing service. */
const PRIVATE =
  /_API_KEY$|^(MODEL_NAME|OPENAI_(API_BASE|BASE_URL)|DATABASE_\w+|POSTGRES_URI|REDIS_URI|PORT|HOST|NODE_ENV)$|^(SUPABASE|LANGFUSE|LANGSMITH|LANGCHAIN|LANGGRAPH|AGENT_SYNC)_/;

/** The developer's environment without their keys and settings, so that a test means the same on every machine. */
export function testEnvironment(env = process.env) {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name]) => name.startsWith("FRACTAL_TEST_") || !(PRIVATE.test(name) || name.startsWith("FRACTAL_")),
    ),
  );
}
