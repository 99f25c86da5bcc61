import { describe, expect, it, setDefaultTimeout } from "bun:test";
import type { Storage } from "#core/storage";
import { ALICE, checkpoint, fenceOf, id, newRun, outcome, put, write, writes } from "../contract/harness.ts";
import { postgresAvailable } from "../servers/postgres.ts";
import { Bed } from "./bed.ts";
import { held, W1 } from "./checks-fence.ts";

setDefaultTimeout(60_000);

const missing = await postgresAvailable();
const EXPIRED = { strategy: "delete", ttl_minutes: 0.00001 } as const;

async function threads(bed: Bed, count: number, ttl?: typeof EXPIRED): Promise<string[]> {
  const ids = Array.from({ length: count }, id);
  for (const thread_id of ids) await bed.a.threads.insert(ALICE, { thread_id, metadata: {}, ttl });
  return ids;
}

describe.skipIf(missing !== undefined)(`two processes at the same threads (${missing ?? "no deadlocks"})`, () => {
  it("every thread has its lane from the moment that others can see it, however it was made", async () => {
    await using bed = await Bed.open();
    const [first] = (await threads(bed, 2)) as [string];
    await bed.a.threads.copy(ALICE, first, id());
    await bed.a.runs.create(ALICE, newRun(id()));
    await bed.a.runs.create(ALICE, newRun(id(), { stateless: true, on_completion: "delete" }), W1);
    const bare =
      "select count(*)::int from fractal.threads t where not exists (select from fractal.lanes l where l.thread_id = t.thread_id)";
    expect(await bed.value<number>(bare)).toBe(0);
    expect(await bed.value<number>("select count(*)::int from fractal.threads")).toBe(5);
  });

  it("sweep those that have expired and never had a run, and do not wait in a circle", async () => {
    await using bed = await Bed.open();
    await threads(bed, 60, EXPIRED);
    const sweeping = async ({ retention }: Storage) => {
      while ((await retention.sweep({ eventHours: 24, batch: 500 })) > 0);
    };
    await Promise.all([sweeping(bed.a), sweeping(bed.b)]);
    expect(await bed.value<number>("select count(*)::int from fractal.threads")).toBe(0);
    expect(await bed.deadlocks()).toBe(0);
  });

  it("prune, remove and run those that never had a run, and do not wait in a circle", async () => {
    await using bed = await Bed.open();
    const ids = await threads(bed, 40);
    await Promise.all([
      bed.a.threads.prune(ALICE, ids, "delete"),
      bed.b.threads.prune(ALICE, ids, "delete"),
      ...ids.map((threadId) => bed.a.runs.create(ALICE, newRun(threadId, { if_not_exists: "reject" }))),
      ...ids.map((threadId) => bed.b.threads.remove(ALICE, threadId)),
    ]);
    expect(await bed.value<number>("select count(*)::int from fractal.threads")).toBe(0);
    expect(await bed.deadlocks()).toBe(0);
  });

  it("nothing of a thread stays that is deleted while its first run begins", async () => {
    await using bed = await Bed.open();
    const [threadId] = (await threads(bed, 1)) as [string];
    // The deletion stands before the thread's row while somebody has the gate.
    await bed.sql.query(`create function public.stop() returns trigger language plpgsql as $$
      begin perform pg_advisory_xact_lock_shared(4711); return old; end $$;
      create trigger stop before delete on fractal.threads for each row execute function public.stop()`);
    await bed.sql.query("select pg_advisory_lock(4711)");
    // The creation stands between the lane and the commit: a session that has the same idempotency key keeps it there.
    const { run: other } = await held(bed);
    const keeper = await bed.session();
    await keeper.query("begin");
    await keeper.query("update fractal.runs set idempotency_key = 'key' where run_id = $1", [other.run_id]);
    const creating = bed.a.runs.create(ALICE, newRun(threadId, { idempotency_key: "key" }), W1);
    await bed.blocked();
    const removing = bed.b.threads.remove(ALICE, threadId);
    await bed.blocked(2);
    await keeper.query("rollback");
    const made = await creating;
    if (made.kind !== "created" || !made.claimed) throw new Error("not claimed");
    const fence = fenceOf(made.run);
    const written = bed.a.checkpoints.commit([put(fence, checkpoint(fence, "c1")), writes(fence, write(fence, "c1"))]);
    await Promise.race([written, bed.blocked(2)]);
    await bed.sql.query("select pg_advisory_unlock(4711)");
    expect(await removing).toBe(true);
    await written;
    await bed.a.threads.insert(ALICE, { thread_id: threadId, metadata: {} });
    expect(await bed.a.checkpoints.get(ALICE, { thread_id: threadId, checkpoint_ns: "" })).toBeUndefined();
    for (const table of ["runs", "checkpoints", "checkpoint_writes"]) {
      const left = `select count(*)::int from fractal.${table} where thread_id = $1`;
      expect(await bed.value<number>(left, [threadId])).toBe(0);
    }
  });

  it("a run is removed under the lane: not before the sweep of its thread's blobs has cleared the mark", async () => {
    await using bed = await Bed.open();
    const { run, fence } = await held(bed);
    await bed.a.checkpoints.commit([put(fence, checkpoint(fence, "c1"))]);
    await bed.a.runs.finish(fence, outcome());
    await bed.sql.query("update fractal.threads set garbage = true where thread_id = $1", [run.thread_id]);
    const sweeper = await bed.session();
    await sweeper.query("begin");
    await sweeper.query("select from fractal.lanes where thread_id = $1 for update", [run.thread_id]);
    const removing = bed.b.runs.remove(ALICE, run.run_id);
    await Promise.race([removing, bed.blocked()]);
    await sweeper.query("update fractal.threads set garbage = false where thread_id = $1", [run.thread_id]);
    await sweeper.query("commit");
    expect(await removing).toBe(true);
    const marked = "select garbage from fractal.threads where thread_id = $1";
    expect(await bed.value<boolean>(marked, [run.thread_id])).toBe(true);
  });
});
