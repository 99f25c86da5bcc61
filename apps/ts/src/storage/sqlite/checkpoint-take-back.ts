import type { Fence } from "#core/runs/fence";
import type { Connection } from "./connection.ts";
import { markGarbage } from "./purge.ts";

/** `CheckpointRepository.takeBack`, inside a transaction: what earlier attempts of this run left, save the root's finished tasks. */
export function takeBack(connection: Connection, fence: Fence, checkpointNs: string): boolean {
  const lane = connection
    .sql(
      "select t.id from threads t join lanes l on l.thread = t.id where t.thread_id = ? and l.active = ? and l.epoch = ?",
    )
    .get<{ id: number }>(fence.threadId, fence.runId, fence.epoch);
  if (lane === undefined) return false;
  const own = "thread = ? and run_id = ? and epoch < ?";
  const keys = [lane.id, fence.runId, fence.epoch] as const;
  connection.sql(`delete from checkpoint_writes where ${own} and (ns <> ? or idx < 0)`).run(...keys, checkpointNs);
  const dropped = connection.sql(`delete from checkpoints where ${own} and ns <> ?`).run(...keys, checkpointNs);
  if (dropped > 0) markGarbage(connection, lane.id);
  return true;
}
