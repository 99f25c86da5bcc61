import type { LeaseKeeper, WorkerRepository } from "#core/runs/workers";
import type { Connection } from "./connection.ts";

/**
 * The workers of the one process that has the data directory. They live as long as it does, so no lease runs out; what
 * earlier processes held belongs to workers that are not in here.
 */
export class LiveWorkers {
  readonly #workers = new Map<string, { draining: boolean }>();

  register(workerId: string): void {
    this.#workers.set(workerId, { draining: false });
  }

  drain(workerId: string): void {
    const worker = this.#workers.get(workerId);
    if (worker !== undefined) worker.draining = true;
  }

  remove(workerId: string): void {
    this.#workers.delete(workerId);
  }

  has(workerId: string): boolean {
    return this.#workers.has(workerId);
  }

  mayClaim(workerId: string): boolean {
    return this.#workers.get(workerId)?.draining === false;
  }

  ids(): string[] {
    return [...this.#workers.keys()];
  }
}

export function sqliteWorkers(connection: Connection, workers: LiveWorkers): WorkerRepository {
  return {
    register: async (worker) => workers.register(worker.worker_id),
    beat: async (workerId) =>
      connection.read(() => {
        if (!workers.has(workerId)) return undefined;
        const cancels = connection
          .sql(
            "select r.run_id, r.cancel_action as action from runs r join lanes l on l.thread = r.thread " +
              "and l.active_seq = r.seq where r.status = 'running' and r.cancel_action is not null and l.worker = ?",
          )
          .all<{ run_id: string; action: "interrupt" | "rollback" }>(workerId);
        return { cancels, processes: 1 };
      }),
    drain: async (workerId) => workers.drain(workerId),
    remove: async (workerId) => workers.remove(workerId),
  };
}

/** Nothing has to be kept: a worker that is registered stays live until it says otherwise. */
export function sqliteKeeper(workers: LiveWorkers): LeaseKeeper {
  return {
    keep: async (worker) => {
      workers.register(worker.worker_id);
      return { end: async () => workers.remove(worker.worker_id) };
    },
  };
}
