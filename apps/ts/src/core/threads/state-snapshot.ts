import { maskSecrets } from "@fractal-agents/infra/secrets";
import { toWire } from "#core/graphs/wire";
import type { RunOutcome } from "#core/runs/repository";
import type { JsonObject } from "#schemas/common";
import type { Interrupt, ThreadState } from "#schemas/threads";

/** A checkpoint as the API names it. */
export type CheckpointRef = NonNullable<ThreadState["checkpoint"]>;

interface Config {
  configurable?: Record<string, unknown> | undefined;
}

interface TaskSnapshot {
  id: string;
  name: string;
  path?: unknown[];
  error?: unknown;
  interrupts?: Interrupt[];
  /** The state of the subgraph where asked for, else the config to ask for it with. */
  state?: Config | StateSnapshot;
  result?: unknown;
}

/** langgraph's StateSnapshot, of whichever copy. */
export interface StateSnapshot {
  values: unknown;
  next: string[];
  config: Config;
  tasks: TaskSnapshot[];
  metadata?: JsonObject | undefined;
  createdAt?: string | undefined;
  parentConfig?: Config | undefined;
}

/** Wire forms of channel values that several snapshots share. */
export type WireMemo = Map<object, unknown>;

/** Null when the config names no checkpoint, which is so of a thread that never ran. */
export function checkpointOf(config: Config | undefined): CheckpointRef | null {
  const at = config?.configurable;
  if (at === undefined || typeof at.checkpoint_id !== "string") return null;
  return {
    thread_id: at.thread_id as string,
    checkpoint_ns: (at.checkpoint_ns as string | undefined) ?? "",
    checkpoint_id: at.checkpoint_id,
    checkpoint_map: (at.checkpoint_map as JsonObject | undefined) ?? null,
  };
}

/** Where a subgraph's state is found: its namespace, with no checkpoint of it chosen yet. */
function subgraphPlace(config: Config): CheckpointRef | null {
  const at = config.configurable;
  if (at === undefined) return null;
  return checkpointOf(config) ?? { thread_id: at.thread_id as string, checkpoint_ns: at.checkpoint_ns as string };
}

/**
 * The questions that a task still waits for. langgraph keeps those of a task that was answered and is done while another
 * task of its superstep waits; only a task that is done has a result.
 */
export function pendingInterrupts(task: Pick<TaskSnapshot, "interrupts" | "result">): Interrupt[] {
  return task.result === undefined ? (task.interrupts ?? []) : [];
}

/** langgraph leaves a node out of `next` when it has been answered once and waits again. */
function nextOf({ next, tasks }: StateSnapshot): string[] {
  const asking = tasks.filter((task) => pendingInterrupts(task).length > 0).map(({ name }) => name);
  return [...next, ...new Set(asking.filter((name) => !next.includes(name)))];
}

/** As text, which is what clients show: its message, or the whole of what was thrown when that has none. */
function errorText(error: unknown): string {
  const wired = toWire(error);
  const message = typeof wired === "object" && wired !== null ? (wired as { message?: unknown }).message : wired;
  return typeof message === "string" ? message : (JSON.stringify(wired) ?? String(error));
}

function taskOf(task: TaskSnapshot, memo: WireMemo | undefined): ThreadState["tasks"][number] {
  const { state } = task;
  const nested = state !== undefined && "values" in state ? (state as StateSnapshot) : undefined;
  const place = nested === undefined ? (state as Config | undefined) : nested.config;
  return {
    id: task.id,
    name: task.name,
    path: (task.path ?? []) as unknown[],
    error: task.error == null ? null : errorText(task.error),
    interrupts: toWire(pendingInterrupts(task)) as Interrupt[],
    checkpoint: place === undefined ? null : subgraphPlace(place),
    state: nested === undefined ? null : toThreadState(nested, memo),
    result: task.result === undefined ? null : toWire(task.result),
  };
}

function valuesOf(values: unknown, memo: WireMemo | undefined): unknown {
  if (memo === undefined || typeof values !== "object" || values === null || Array.isArray(values))
    return toWire(values ?? {});
  const wired: JsonObject = {};
  for (const [channel, value] of Object.entries(values)) {
    if (typeof value !== "object" || value === null) {
      wired[channel] = toWire(value);
      continue;
    }
    let known = memo.get(value);
    if (known === undefined) {
      known = toWire(value);
      memo.set(value, known);
    }
    wired[channel] = known;
  }
  return wired;
}

function metadataOf(metadata: JsonObject | undefined): JsonObject {
  if (metadata === undefined) return {};
  const { checkpoint_ns: ns, ...rest } = maskSecrets(metadata);
  return toWire(ns === undefined || ns === "" ? rest : { checkpoint_ns: ns, ...rest }) as JsonObject;
}

/** The state as the API shows it: everything in a form that JSON.stringify writes as clients expect. */
export function toThreadState(snapshot: StateSnapshot, memo?: WireMemo): ThreadState {
  const tasks = snapshot.tasks.map((task) => taskOf(task, memo));
  const checkpoint = checkpointOf(snapshot.config);
  const parent = checkpointOf(snapshot.parentConfig);
  return {
    values: valuesOf(snapshot.values, memo),
    next: nextOf(snapshot),
    tasks,
    metadata: checkpoint === null ? null : metadataOf(snapshot.metadata),
    created_at: snapshot.createdAt ?? null,
    checkpoint,
    parent_checkpoint: parent,
    interrupts: tasks.flatMap((task) => task.interrupts),
    checkpoint_id: checkpoint?.checkpoint_id ?? null,
    parent_checkpoint_id: parent?.checkpoint_id ?? null,
  };
}

/** State of a thread that never ran, and of one that no graph is known for. */
export function emptyState(): ThreadState {
  return {
    values: {},
    next: [],
    tasks: [],
    metadata: null,
    created_at: null,
    checkpoint: null,
    parent_checkpoint: null,
    interrupts: [],
    checkpoint_id: null,
    parent_checkpoint_id: null,
  };
}

/** What is written with the thread: its values as JSON text, who waits on it, and whether something is left to do. */
export function toRunState(snapshot: StateSnapshot): NonNullable<RunOutcome["state"]> {
  const interrupts: Record<string, Interrupt[]> = {};
  for (const task of snapshot.tasks) {
    const pending = pendingInterrupts(task);
    if (pending.length > 0) interrupts[task.id] = toWire(pending) as Interrupt[];
  }
  const stored = checkpointOf(snapshot.config) !== null;
  return {
    values: stored ? withoutNul(JSON.stringify(toWire(snapshot.values)) ?? "null") : undefined,
    interrupts,
    pending: nextOf(snapshot).length > 0,
  };
}

/** NUL is kept in the checkpoint and replaced in the values cache, which a database may keep as JSON. */
export function withoutNul(json: string): string {
  if (!json.includes("\\u0000")) return json;
  // An even number of backslashes before it is text, not an escape.
  return json.replace(/(?<!\\)((?:\\\\)*)\\u0000/g, "$1\ufffd");
}
