import { AsyncLocalStorage } from "node:async_hooks";
import type { AuthScope } from "#core/identity/scope";

interface RunContext {
  run_id: string;
  thread_id: string;
}

const context = new AsyncLocalStorage<{ run: RunContext; scope: AuthScope }>();

/** Everything that `work` starts, timers and dropped promises of user code too, can be told to belong to this run. */
export function inRun<T>(run: RunContext & Pick<AuthScope, "tenant" | "owner">, work: () => T): T {
  const { run_id, thread_id, tenant, owner } = run;
  const scope = { tenant, owner, permissions: [], filters: undefined };
  return context.run({ run: { run_id, thread_id }, scope }, work);
}

/**
 * The run in whose code we are; only for saying so in a log, never for deciding anything. Bun forgets it before it
 * reports an unhandled rejection.
 */
export function currentRun(): RunContext | undefined {
  return context.getStore()?.run;
}

/** For whom the run acts in whose code we are; undefined outside of every run. */
export function currentScope(): AuthScope | undefined {
  return context.getStore()?.scope;
}
