import type { NewRun } from "#core/runs/repository";

/** A run as the service would hand it to the storage, on a thread of its own unless told otherwise. */
export function queuedRun(changes: Partial<NewRun> = {}): NewRun {
  return {
    run_id: crypto.randomUUID(),
    thread_id: crypto.randomUUID(),
    assistant_id: crypto.randomUUID(),
    graph_id: "elsewhere",
    revision: null,
    metadata: {},
    kwargs: {},
    multitask_strategy: "enqueue",
    durability: "async",
    stateless: false,
    on_completion: "keep",
    logged: false,
    after_seconds: 0,
    max_attempts: 3,
    idempotency_key: null,
    if_not_exists: "reject",
    thread_metadata: {},
    ...changes,
  };
}
