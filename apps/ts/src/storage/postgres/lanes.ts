import type { AuthScope } from "#core/identity/scope";
import type { Fence } from "#core/runs/fence";
import type { LaneRepository } from "#core/runs/repository";
import { packsOf } from "../common/event-packs.ts";
import { passes } from "../common/json-filters.ts";
import { parseObject, withoutNul } from "../common/run-rows.ts";
import { jsonb } from "./conditions.ts";
import { type Database, uuid } from "./database.ts";
import { SELECT_THREAD, type ThreadRow, toThread } from "./thread-rows.ts";

const WRITERS =
  "select thread_id, active, epoch from fractal.lanes where worker_id = $1 and active is not null and active_seq is null";

export function postgresLanes(database: Database): LaneRepository {
  /** Writers of this process that may hold a lane: known before the database knows them, until nobody uses them. */
  const writers = new Set<string>();

  async function admitted(scope: AuthScope, threadId: string): Promise<boolean> {
    if (scope.filters === undefined) return true;
    const row = await database.row<{ metadata: string }>("select metadata from fractal.threads where thread_id = $1", [
      uuid(threadId),
    ]);
    return row !== undefined && passes(scope.filters, parseObject(row.metadata));
  }

  async function abandon(fence: Fence): Promise<void> {
    await database.rows("select fractal.abandon_v1($1, $2, $3)", [uuid(fence.threadId), fence.runId, fence.epoch]);
  }

  return {
    acquire: async (scope, threadId, { writer_id, worker_id }) => {
      if (uuid(threadId) === null || !(await admitted(scope, threadId))) return "no_thread";
      writers.add(writer_id);
      let fence: Fence | undefined;
      try {
        // Once: a lane that was taken by a call whose answer was lost is freed by `freeLost`.
        const row = await database.row<{ answer: string }>(
          "select fractal.acquire_v2($1, $2, $3, $4, $5) as answer",
          [threadId, writer_id, worker_id ?? null, scope.tenant, scope.owner],
          { once: true },
        );
        const answer = row?.answer ?? "no_thread";
        if (answer === "no_thread" || answer === "busy") return answer;
        fence = { threadId, runId: writer_id, epoch: Number(answer) };
        return fence;
      } finally {
        if (fence === undefined) writers.delete(writer_id);
      }
    },

    complete: async (fence, change) => {
      const row = await database.row<{ done: boolean }>(
        "select fractal.complete_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) as done",
        [
          uuid(fence.threadId),
          fence.runId,
          fence.epoch,
          change.scope,
          change.state.values === undefined ? null : withoutNul(change.state.values),
          withoutNul(JSON.stringify(change.state.interrupts)),
          change.state.pending,
          jsonb(change.metadata),
          change.error == null ? null : withoutNul(JSON.stringify(change.error)),
          change.events.length === 0 ? null : JSON.stringify(packsOf(change.events)),
        ],
        { once: true },
      );
      writers.delete(fence.runId);
      if (row?.done !== true) return "fenced";
      const thread = await database.row<ThreadRow>(SELECT_THREAD, [fence.threadId]);
      return thread === undefined ? "fenced" : toThread(thread);
    },

    abandon: async (fence) => {
      writers.delete(fence.runId);
      await abandon(fence);
    },

    freeLost: async (workerId) => {
      const held = await database.rows<{ thread_id: string; active: string; epoch: string }>(WRITERS, [workerId]);
      // Looked up after the answer: what was begun meanwhile is among them.
      const lost = held
        .filter(({ active }) => !writers.has(active))
        .map(({ thread_id, active, epoch }) => ({ threadId: thread_id, runId: active, epoch: Number(epoch) }));
      for (const fence of lost) await abandon(fence);
      return lost;
    },
  };
}
