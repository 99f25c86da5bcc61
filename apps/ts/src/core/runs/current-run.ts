import { AsyncLocalStorage } from "node:async_hooks";

interface RunContext {
  run_id: string;
  thread_id: string;
}

const context = new AsyncLocalStorage<RunContext>();

/** Everything that `work` starts, timers and dropped promises of user code too, can be told to belong to this run. */
export function inRun<T>(run: RunContext, work: () => T): T {
  return context.run({ run_id: run.run_id, thread_id: run.thread_id }, work);
}

/**
 * The run in whose code we are; only for saying so in a log, never for deciding anything. Bun forgets it before it
 * reports an unhandled rejection.
 */
export function currentRun(): RunContext | undefined {
  return context.getStore();
}
