import type { Beat, WorkerRepository } from "#core/runs/workers";
import type { Database } from "./database.ts";

/** The statements of a lease; the keeper's thread sends them on a connection of its own. */
export const LEASE = {
  register: "select fractal.register_v1($1, $2, $3, $4, $5, $6)",
  beat: "select cancels, processes from fractal.beat_v1($1, $2)",
  leave: "select fractal.leave_v1($1)",
} as const;

export function postgresWorkers(database: Database): WorkerRepository {
  return {
    register: async (worker, ttlMs) => {
      const { worker_id, instance, role, version, capacity } = worker;
      await database.rows(LEASE.register, [worker_id, instance, role, version, capacity, ttlMs]);
    },
    beat: async (workerId, ttlMs) => {
      const row = await database.row<{ cancels: string; processes: number }>(LEASE.beat, [workerId, ttlMs]);
      return row && { cancels: JSON.parse(row.cancels) as Beat["cancels"], processes: row.processes };
    },
    drain: async (workerId) => {
      await database.rows("select fractal.drain_v1($1)", [workerId]);
    },
    remove: async (workerId) => {
      await database.rows(LEASE.leave, [workerId]);
    },
  };
}
