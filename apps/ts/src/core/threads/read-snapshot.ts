import type { Logger } from "@fractal-agents/infra/logger";
import { NULL_TASK_ID, type Salvage } from "#core/checkpoints/salvage";
import type { FencedSaver } from "#core/checkpoints/saver";
import { LeaseLostError, RuntimeError } from "#core/errors";
import type { GraphLike } from "#core/graphs/registry";
import type { JsonObject } from "#schemas/common";
import type { StateSnapshot } from "./state-snapshot.ts";

/** A graph bound to this saver. */
export interface SnapshotReader {
  graph: GraphLike;
  saver: FencedSaver;
  logger: Logger;
}

interface Where {
  configurable: JsonObject;
}

/**
 * The state at a checkpoint, whatever is stored there. Where the graph cannot make it, because its reducers refuse what
 * is pending or a value cannot be decoded, it is what is left without that, and its tasks carry the error.
 */
export async function readSnapshot(
  reader: SnapshotReader,
  config: Where,
  options: { subgraphs: boolean } = { subgraphs: false },
): Promise<StateSnapshot> {
  reader.saver.salvage(undefined);
  try {
    return await reader.graph.getState(config, options);
  } catch (error) {
    if (isOfServer(error)) throw error;
    return salvage(reader, { config, options, error });
  }
}

/** Whether the state can be read as it is stored. */
export async function isReadable({ graph }: Pick<SnapshotReader, "graph">, config: Where): Promise<boolean> {
  try {
    await graph.getState(config);
    return true;
  } catch (error) {
    if (isOfServer(error)) throw error;
    return false;
  }
}

/** Lets the saver leave out everything that may keep a state from being read. */
export function salvageAll(saver: FencedSaver): void {
  saver.salvage({ leaveOut: "writes", problems: [], tasks: new Set() });
}

/**
 * Lets a run leave out updates of an earlier run that the graph refuses: they ended that run, and would end every other
 * one before it begins.
 */
export async function passOverRefused({ graph, saver, logger }: SnapshotReader, threadId: string): Promise<void> {
  const at = await saver.leftUpdatesOn({ configurable: { thread_id: threadId } });
  if (at === undefined) return;
  // Named, so that the writes of tasks are not looked at: a run makes up its own mind about those.
  const config = { configurable: { thread_id: threadId, checkpoint_id: at } };
  if (await isReadable({ graph }, config)) return;
  saver.salvage({ leaveOut: "updates", tasks: new Set() });
  if (await isReadable({ graph }, config)) {
    logger.warn({ thread_id: threadId, checkpoint_id: at }, "updates of a failed run skipped");
  } else saver.salvage(undefined);
}

async function salvage(
  { graph, saver, logger }: SnapshotReader,
  read: { config: Where; options: { subgraphs: boolean }; error: unknown },
): Promise<StateSnapshot> {
  const { config, options, error } = read;
  const { thread_id, checkpoint_ns, checkpoint_id } = config.configurable;
  for (const leaveOut of ["nothing", "writes"] as const) {
    const how = { leaveOut, problems: [], tasks: new Set<string>() };
    saver.salvage(how);
    const snapshot = await graph.getState(config, options).catch(failed);
    if (snapshot === undefined || snapshot.config?.configurable?.checkpoint_id === undefined) continue;
    logger.warn({ thread_id, checkpoint_ns, checkpoint_id, err: error }, "state read in part");
    return explained(snapshot, how, error);
  }
  const how = { leaveOut: "writes" as const, problems: [], tasks: new Set<string>() };
  saver.salvage(how);
  const stored = await bare(graph, saver, config);
  // Not for what is stored: a subgraph that the graph does not have, for one.
  if (stored === undefined) throw error;
  logger.warn({ thread_id, checkpoint_ns, checkpoint_id, err: error }, "state cannot be read by its graph");
  return explained(stored, how, error);
}

/** What stands in the checkpoint, without the graph's work on it. */
async function bare(graph: GraphLike, saver: FencedSaver, config: Where): Promise<StateSnapshot | undefined> {
  const tuple = await saver.getTuple(config);
  if (tuple === undefined) return undefined;
  const shown = (graph as { streamChannelsAsIs?: string | string[] }).streamChannelsAsIs ?? Object.keys(graph.channels);
  const values = tuple.checkpoint.channel_values;
  const stored = Array.isArray(shown)
    ? Object.fromEntries(shown.filter((channel) => Object.hasOwn(values, channel)).map((key) => [key, values[key]]))
    : values[shown];
  return {
    values: stored,
    next: [],
    tasks: [],
    config: tuple.config as StateSnapshot["config"],
    metadata: { ...tuple.metadata },
    createdAt: tuple.checkpoint.ts === "" ? undefined : tuple.checkpoint.ts,
    parentConfig: tuple.parentConfig as StateSnapshot["parentConfig"],
  };
}

/** The error stands with the tasks whose writes were left out; where there are none, as a task of its own. */
function explained(snapshot: StateSnapshot, how: Salvage & { problems: string[] }, cause: unknown): StateSnapshot {
  const problems = [...new Set(how.problems)];
  const error = problems.length === 0 ? cause : new Error(problems.join("; "), { cause });
  const tasks = snapshot.tasks.map((task) => (how.tasks.has(task.id) ? { ...task, error: task.error ?? error } : task));
  if (problems.length === 0 && tasks.some(({ id }) => how.tasks.has(id))) return { ...snapshot, tasks };
  return { ...snapshot, tasks: [...tasks, { id: NULL_TASK_ID, name: "__input__", path: [], error, interrupts: [] }] };
}

function failed(error: unknown): undefined {
  if (isOfServer(error)) throw error;
}

/** The storage's and the server's own errors say nothing about what is stored. */
function isOfServer(error: unknown): boolean {
  return error instanceof RuntimeError || error instanceof LeaseLostError;
}
