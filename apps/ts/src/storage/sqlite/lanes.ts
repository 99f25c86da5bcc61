import type { Fence } from "#core/runs/fence";
import type { LaneRepository } from "#core/runs/repository";
import type { ThreadStatus } from "#schemas/threads";
import { allowed } from "../common/json-filters.ts";
import { parseKept } from "../common/run-rows.ts";
import type { Connection } from "./connection.ts";
import { insertEvents } from "./event-rows.ts";
import { freeLane, setThreadStatus } from "./lane-state.ts";
import { loadThread } from "./thread-rows.ts";
import { isUnfinished, writeState } from "./thread-state.ts";

interface Held {
  thread: number;
  metadata: string;
}

export function sqliteLanes(connection: Connection): LaneRepository {
  /** Lanes of failed state writes: a locked file or a full disk may have kept them from being freed. */
  const unfreed = new Set<Fence>();

  /** The thread whose lane a state writer holds under this fence. */
  function held(fence: { threadId: string; runId: string; epoch: number }): Held | undefined {
    return connection
      .sql(
        "select t.id as thread, t.metadata from threads t join lanes l on l.thread = t.id " +
          "where t.thread_id = ? and l.active = ? and l.epoch = ? and l.active_seq is null",
      )
      .get<Held>(fence.threadId, fence.runId, fence.epoch);
  }

  async function abandon(fence: Fence): Promise<void> {
    await connection.write(() => {
      const holder = held(fence);
      if (holder === undefined) return;
      if (freeLane(connection, holder.thread)) setThreadStatus(connection, holder.thread, "busy");
    });
    unfreed.delete(fence);
  }

  return {
    acquire: async (scope, threadId, { writer_id, worker_id }) =>
      connection.write(() => {
        const thread = connection
          .sql("select id, metadata from threads where thread_id = ? and tenant = ? and owner = ? and hidden = 0")
          .get<{ id: number; metadata: string }>(threadId, scope.tenant, scope.owner);
        if (thread === undefined || !allowed(scope, thread.metadata)) return "no_thread" as const;
        const taken = connection
          .sql(
            "select 1 as taken from lanes where thread = ?1 and active is not null union all " +
              "select 1 from runs where thread = ?1 and status = 'pending' limit 1",
          )
          .get(thread.id);
        if (taken !== undefined) return "busy" as const;
        const lane = connection
          .sql(
            "insert into lanes (thread, epoch, active, writer_since, worker) values (?1, 1, ?2, ?3, ?4) " +
              "on conflict (thread) do update set epoch = epoch + 1, active = ?2, writer_since = ?3, worker = ?4 returning epoch",
          )
          .get<{ epoch: number }>(thread.id, writer_id, connection.now(), worker_id ?? null) as { epoch: number };
        return { threadId, runId: writer_id, epoch: lane.epoch };
      }),

    complete: async (fence, change) =>
      connection.write(() => {
        const holder = held(fence);
        if (holder === undefined) return "fenced" as const;
        const { thread } = holder;
        writeState(connection, { thread, scope: change.scope }, change.state);
        insertEvents(connection, thread, change.events);
        const busy = freeLane(connection, thread);
        const { error = null } = change;
        const resting = error !== null ? "error" : isUnfinished(connection, thread) ? "interrupted" : "idle";
        const status: ThreadStatus = busy ? "busy" : resting;
        const now = connection.now();
        connection
          .sql(
            "update threads set status = ?, error = ?, scope = ?, metadata = ?, state_updated_at = ?, " +
              "updated_at = max(?, updated_at + 1), expires_at = cast(? + ttl_minutes * 60000 as integer) where id = ?",
          )
          .run(
            status,
            error === null ? null : JSON.stringify(error),
            change.scope,
            JSON.stringify({ ...parseKept(holder.metadata), ...change.metadata }),
            now,
            now,
            now,
            thread,
          );
        return loadThread(connection, thread);
      }),

    abandon: async (fence) => {
      unfreed.add(fence);
      await abandon(fence);
    },

    freeLost: async () => {
      const lost = [...unfreed];
      for (const fence of lost) await abandon(fence);
      return lost;
    },
  };
}
