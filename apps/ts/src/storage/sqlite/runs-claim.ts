import type { Fence } from "#core/runs/fence";
import type { ClaimRequest, RunRecord } from "#core/runs/repository";
import { type RunRow, SELECT_RUN, toRun } from "../common/run-rows.ts";
import type { Connection } from "./connection.ts";
import { hasRipe, ripen } from "./lane-state.ts";

/** `RunRepository.claim`, inside a transaction; the worker may claim. */
export function claimRuns(connection: Connection, request: ClaimRequest): RunRecord[] {
  if (hasRipe(connection)) ripen(connection);
  const heads = connection
    .sql(
      "select thread, head_seq from lanes where ready = 1 and head_graph in (select value from json_each(?)) " +
        "order by head_retry desc, head_pri desc, head_vt, head_seq limit ?",
    )
    .all<{ thread: number; head_seq: number }>(JSON.stringify(request.graphs), request.slots);
  return heads.map((head) => take(connection, request.worker_id, head));
}

/** `RunRepository.claimRun`, inside a transaction; the worker may claim. */
export function claimRun(connection: Connection, request: ClaimRequest, runId: string): RunRecord | undefined {
  if (hasRipe(connection)) ripen(connection);
  const head = connection
    .sql(
      "select l.thread, l.head_seq, l.head_graph from runs r join lanes l on l.head_seq = r.seq and l.thread = r.thread " +
        "where r.run_id = ? and l.ready = 1",
    )
    .get<{ thread: number; head_seq: number; head_graph: string }>(runId);
  if (head === undefined || !request.graphs.includes(head.head_graph)) return undefined;
  return take(connection, request.worker_id, head);
}

/** The head becomes the holder of its lane: epoch + 1, attempt + 1, status running. */
export function take(connection: Connection, worker: string, head: { thread: number; head_seq: number }): RunRecord {
  const row = connection.sql(`${SELECT_RUN}where r.seq = ?`).get<RunRow>(head.head_seq) as RunRow;
  const now = connection.now();
  const lane = connection
    .sql(
      "update lanes set epoch = epoch + 1, active = ?, active_seq = ?, worker = ?, head_seq = null, head_at = null, " +
        "head_retry = 0, head_vt = null, head_graph = null, ready = 0 where thread = ? returning epoch",
    )
    .get<{ epoch: number }>(row.run_id, row.seq, worker, head.thread) as { epoch: number };
  const firstEpoch = row.first_epoch === 0 ? lane.epoch : row.first_epoch;
  const startedAt = row.started_at ?? now;
  connection
    .sql(
      "update runs set status = 'running', attempt = attempt + 1, epoch = ?, first_epoch = ?, started_at = ?, updated_at = ?, " +
        "not_before = null where seq = ?",
    )
    .run(lane.epoch, firstEpoch, startedAt, now, row.seq);
  return toRun({
    ...row,
    status: "running",
    attempt: row.attempt + 1,
    epoch: lane.epoch,
    first_epoch: firstEpoch,
    started_at: startedAt,
    updated_at: now,
    not_before: null,
  });
}

/** For `RunRepository.outlook`: heads whose time has not come; those that are ready wait for a worker, not for time. */
export function nextDueIn(connection: Connection): number | undefined {
  const next = connection
    .sql("select min(head_at) as at from lanes where ready = 0 and head_seq is not null")
    .get<{ at: number | null }>();
  return next?.at == null ? undefined : Math.max(0, next.at - connection.now());
}

/** The run that holds the lane under this fence. */
export function heldRun(connection: Connection, fence: Fence): RunRow | undefined {
  return connection
    .sql(
      `${SELECT_RUN}join lanes l on l.thread = t.id and l.active_seq = r.seq ` +
        "where t.thread_id = ? and l.active = ? and l.epoch = ?",
    )
    .get<RunRow>(fence.threadId, fence.runId, fence.epoch);
}
