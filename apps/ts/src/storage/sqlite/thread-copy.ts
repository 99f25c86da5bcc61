import { RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { Thread } from "#schemas/threads";
import { parseKept } from "../common/run-rows.ts";
import type { Connection } from "./connection.ts";
import { isHeld, restingStatus } from "./lane-state.ts";
import { loadThread } from "./thread-rows.ts";

/**
 * Everything that belongs to the state of a thread, under new owner-independent keys: no runs, no log, no epochs. Of a
 * write that several attempts made only the one that readers see is copied (the highest epoch).
 */
const COPIES = [
  'insert into thread_states (thread, scope, pending, interrupts, "values") ' +
    'select ?2, scope, pending, interrupts, "values" from thread_states where thread = ?1',
  "insert into checkpoint_blobs (thread, ns, channel, version, type, value) " +
    "select ?2, ns, channel, version, type, value from checkpoint_blobs where thread = ?1",
  "insert into checkpoints (thread, ns, checkpoint_id, epoch, run_id, parent_id, metadata, blobs, checkpoint, inline) " +
    "select ?2, ns, checkpoint_id, 0, null, parent_id, metadata, blobs, checkpoint, inline from checkpoints where thread = ?1 order by id",
  "insert into checkpoint_writes (thread, ns, checkpoint_id, task_id, idx, epoch, run_id, task_path, channel, type, value) " +
    "select ?2, ns, checkpoint_id, task_id, idx, 0, null, task_path, channel, type, value from checkpoint_writes w " +
    "where thread = ?1 and epoch = (select max(o.epoch) from checkpoint_writes o where o.thread = w.thread and o.ns = w.ns " +
    "and o.checkpoint_id = w.checkpoint_id and o.task_id = w.task_id and o.idx = w.idx)",
];

/** `ThreadRepository.copy` of a thread that the scope sees, inside a transaction. */
export function copyThread(
  connection: Connection,
  scope: AuthScope,
  what: { source: { id: number; metadata: string }; newId: string },
): Thread | "busy" {
  const { source, newId } = what;
  if (isHeld(connection, source.id)) return "busy";
  const now = connection.now();
  const created = connection
    .sql(
      "insert into threads (thread_id, tenant, owner, hidden, status, bound, scope, ttl_strategy, ttl_minutes, expires_at, " +
        "state_updated_at, created_at, updated_at, metadata, config) " +
        "select ?1, ?2, ?3, 0, 'idle', bound, scope, ttl_strategy, ttl_minutes, cast(?4 + ttl_minutes * 60000 as integer), " +
        "?4, ?4, ?4, ?5, config from threads where id = ?6 on conflict (thread_id) do nothing returning id",
    )
    .get<{ id: number }>(
      newId,
      scope.tenant,
      scope.owner,
      now,
      JSON.stringify({ ...parseKept(source.metadata), thread_id: newId }),
      source.id,
    );
  if (created === undefined) throw new RuntimeError("conflict", `Thread ${newId} already exists`);
  for (const copy of COPIES) connection.sql(copy).run(source.id, created.id);
  // Its first run is not the first to write to it, and must not think so.
  connection.sql("insert into lanes (thread, epoch) values (?, 1)").run(created.id);
  const status = restingStatus(connection, created.id);
  connection.sql("update threads set status = ? where id = ?").run(status, created.id);
  return loadThread(connection, created.id);
}
