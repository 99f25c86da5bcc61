import type { MultitaskStrategy, RunStatus } from "#schemas/runs";
import type { ThreadStatus } from "#schemas/threads";

export type Action = "interrupt" | "rollback";
export type End = Exclude<RunStatus, "pending" | "running">;

export interface ModelRun {
  id: string;
  thread: string;
  order: number;
  status: RunStatus;
  runAt: number;
  notBefore: number;
  attempt: number;
  max: number;
  epoch: number;
  cancel: Action | null;
  cancelAt: number;
  priority: number;
  /** Place among the heads of other threads. */
  turn: number;
  strikes: number;
  restarts: number;
  /** Of a suspect: its crash, its half, and until when it is kept apart. */
  group: { crash: number; half: number; until: number } | undefined;
  /** Epoch in which it last stored a checkpoint. */
  stored: number;
}

export interface NewModelRun {
  id: string;
  strategy: MultitaskStrategy;
  delay: number;
  max: number;
  priority: number;
  ahead: number;
}

export interface ModelThread {
  runs: ModelRun[];
  epoch: number;
  holder: { run: ModelRun; worker: string } | "writer" | undefined;
  writerSince: number;
  writer: string | undefined;
  interrupted: boolean;
  unfinished: boolean;
  failed: boolean;
  resting: ThreadStatus;
}

export function newThread(): ModelThread {
  return {
    runs: [],
    epoch: 0,
    holder: undefined,
    writerSince: 0,
    writer: undefined,
    interrupted: false,
    unfinished: false,
    failed: false,
    resting: "idle",
  };
}

export function newModelRun(run: NewModelRun, of: { thread: string; order: number; now: number }): ModelRun {
  const { thread, order, now } = of;
  const runAt = now + run.delay;
  return {
    id: run.id,
    thread,
    order,
    status: "pending",
    runAt,
    notBefore: runAt,
    attempt: 0,
    max: run.max,
    epoch: 0,
    cancel: null,
    cancelAt: 0,
    priority: run.priority,
    turn: now + run.ahead,
    strikes: 0,
    restarts: 0,
    group: undefined,
    stored: 0,
  };
}
