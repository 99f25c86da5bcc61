import { createHash } from "node:crypto";

/** What is read of the config that langgraph hands to nodes and tools. */
export interface TaskConfig {
  configurable?: Record<string, unknown> | undefined;
  metadata?: Record<string, unknown> | undefined;
  runId?: string | undefined;
}

/**
 * A key for a side effect of a task, to be sent as `Idempotency-Key`: the same when the task is executed again after a
 * crash, a lost lease or a retry, another one for every other task and every other run. `call` tells several effects of
 * one task apart: the id of a tool call, or a counter.
 *
 * langgraph's own task id is a hash over the id of the checkpoint before it, and that is new when a run starts over from
 * its input, because it died before its first checkpoint was stored. So the task is named by its step and its path in the
 * graph instead. Below a subgraph the ids of the tasks around it are part of the key: it is stable there as soon as the
 * checkpoint before the subgraph is stored.
 *
 * The server lends it to every graph, so that none needs an import for it:
 * `config.configurable.fractal_idempotency_key(config, toolCallId)`.
 *
 * Throws outside of a run: a key that is made up would be a promise that is not kept.
 */
export function idempotencyKey(config: TaskConfig, call: string | number = 0): string {
  const { configurable = {}, metadata = {} } = config;
  const runId = configurable.run_id ?? metadata.run_id ?? config.runId;
  const { langgraph_checkpoint_ns: namespace, langgraph_step: step, langgraph_path: path } = metadata;
  if (typeof runId !== "string" || typeof namespace !== "string" || typeof step !== "number") {
    throw new Error("idempotencyKey needs the config that langgraph hands to a node or tool of a run");
  }
  const around = namespace.split("|").slice(0, -1);
  const name = JSON.stringify([runId, around, step, path, call]);
  return createHash("sha256").update(name).digest("hex");
}
