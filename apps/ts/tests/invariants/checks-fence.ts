import type { Fence } from "#core/runs/fence";
import type { RunRecord } from "#core/runs/repository";
import {
  ALICE,
  checkpoint,
  event,
  fenceOf,
  newRun,
  outcome,
  put,
  WORKER,
  workerInfo,
  write,
  writes,
} from "../contract/harness.ts";
import type { Bed } from "./bed.ts";

/** What a check found to be broken; undefined when everything held. */
export type Violation = string | undefined;
export type Check = (bed: Bed) => Promise<Violation>;

export const W1 = WORKER;
export const W2 = { ...WORKER, worker_id: "w2" };

/** A run on a new thread that w1 has claimed. */
export async function held(
  bed: Bed,
  changes: Parameters<typeof newRun>[1] = {},
): Promise<{ run: RunRecord; fence: Fence }> {
  const made = await bed.a.runs.create(ALICE, newRun(crypto.randomUUID(), changes), W1);
  if (made.kind !== "created" || !made.claimed) throw new Error("the run was not claimed");
  return { run: made.run, fence: fenceOf(made.run) };
}

/** w1 is taken for dead and w2 goes on with its run; w1 itself does not know yet. */
export async function takenOver(bed: Bed, fence: Fence): Promise<Fence> {
  await bed.b.workers.remove("w1");
  await bed.b.runs.sweep();
  const next = (await bed.b.runs.claimSuspects(W2)).find(({ run_id }) => run_id === fence.runId);
  if (next === undefined) throw new Error("the run of a dead worker cannot be claimed");
  return fenceOf(next);
}

/** Nobody waits out a backoff here. */
export async function endBackoffs(bed: Bed): Promise<void> {
  await bed.sql.query("update fractal.lanes set suspect_at = 0 where suspect_seq = head_seq");
}

const ROWS = `select
  (select count(*) from fractal.checkpoints where thread_id = $1) as checkpoints,
  (select count(*) from fractal.checkpoint_writes where thread_id = $1) as writes,
  (select count(*) from fractal.run_events where thread_id = $1) as events,
  (select count(*) from fractal.store_items) as items,
  (select status || ' ' || attempt || ' ' || epoch from fractal.runs where run_id = $2) as run`;

async function rows(bed: Bed, fence: Fence): Promise<string> {
  return JSON.stringify((await bed.sql.query(ROWS, [fence.threadId, fence.runId])).rows[0]);
}

/** Everything that an attempt can write, one after the other, as if it were still its turn. */
async function writeAll(bed: Bed, fence: Fence): Promise<string[]> {
  const tries: [string, () => Promise<unknown>][] = [
    ["checkpoint", async () => (await bed.a.checkpoints.commit([put(fence, checkpoint(fence, "late"))]))[0]],
    ["writes", async () => (await bed.a.checkpoints.commit([writes(fence, write(fence, "late"))]))[0]],
    [
      "events",
      async () =>
        (
          await bed.a.checkpoints.commit([
            { kind: "events", fence, rows: [event(fence.epoch, 90, { run_id: fence.runId })] },
          ])
        )[0],
    ],
    [
      "item",
      () =>
        bed.a.store.put(ALICE, { namespace: ["n"], key: "late", value: {}, ttl: null }, fence).then(
          () => "written",
          (error: Error) => error.name,
        ),
    ],
    ["take back", () => bed.a.checkpoints.takeBack(fence, "")],
    ["release", () => bed.a.runs.release(fence)],
    ["retry", () => bed.a.runs.retry(fence, { error: "E", message: "m" }, "outage")],
    ["evict", () => bed.a.runs.evict(fence)],
    ["finish", async () => (await bed.a.runs.finish(fence, outcome({ status: "timeout" }))).kind],
  ];
  const accepted: string[] = [];
  for (const [name, go] of tries) {
    const answer = await go();
    const refused = answer === "fenced" || answer === "LeaseLostError" || answer === false || answer === undefined;
    if (!refused) accepted.push(`${name} was answered ${JSON.stringify(answer)}`);
  }
  return accepted;
}

/** I3, I13: what a lost attempt still writes is refused, whatever has become of its lane. */
export const zombieWritesNothing: Check = async (bed) => {
  const after: Record<string, (fence: Fence) => Promise<void>> = {
    "another worker has taken over": async (fence) => void (await takenOver(bed, fence)),
    "the sweep has taken the lane": async () => {
      await bed.b.workers.remove("w1");
      await bed.b.runs.sweep();
    },
    "the run was evicted": async (fence) => {
      await bed.b.runs.cancel(ALICE, { run_id: fence.runId }, "interrupt");
      await bed.b.runs.evict(fence);
    },
    "the run was rolled back and another is at work": async (fence) => {
      await bed.b.runs.create(ALICE, newRun(fence.threadId, { multitask_strategy: "rollback" }));
      await bed.b.runs.evict(fence);
      await bed.b.runs.claim(W2);
    },
    "the run has finished": async (fence) => void (await bed.b.runs.finish(fence, outcome({ status: "error" }))),
    "a person has written the state": async (fence) => {
      await bed.b.runs.finish(fence, outcome());
      await bed.b.lanes.acquire(ALICE, fence.threadId, { writer_id: crypto.randomUUID() });
    },
    "the thread was deleted": async (fence) => void (await bed.b.threads.remove(ALICE, fence.threadId)),
  };
  for (const [what, happens] of Object.entries(after)) {
    await bed.a.workers.register(workerInfo("w1"), 600_000);
    const { fence } = await held(bed);
    await happens(fence);
    const before = await rows(bed, fence);
    const accepted = await writeAll(bed, fence);
    if (accepted.length > 0) return `I3 after "${what}": ${accepted.join("; ")}`;
    const now = await rows(bed, fence);
    if (now !== before) return `I3 after "${what}": ${before} became ${now}`;
  }
  return undefined;
};

/**
 * I3 with break points: a commit that has checked its fence and is not through yet. Whoever takes the lane waits for it,
 * so no row appears after the lane has moved on.
 */
export const commitHoldsTheLane: Check = async (bed) => {
  const { run, fence } = await held(bed);
  await bed.b.runs.cancel(ALICE, { run_id: run.run_id }, "interrupt");
  const zombie = await bed.session();
  const checkpoints = [
    {
      f: 1,
      ns: "",
      id: "c1",
      epoch: fence.epoch,
      run_id: fence.runId,
      parent: null,
      metadata: "{}",
      blobs: {},
      checkpoint: "{}",
      o: 0,
      l: 0,
    },
  ];
  await zombie.query("begin");
  const { rows: answers } = await zombie.query(
    "select fractal.commit_v1($1, $2, $3, $4, null, null, null, '') as answers",
    [[fence.threadId], [fence.runId], [fence.epoch], JSON.stringify(checkpoints)],
  );
  if (answers[0].answers[0] !== 0) throw new Error("the write of the lane's holder was refused");
  let over = false;
  const evicting = bed.b.runs.evict(fence).then(() => {
    over = true;
  });
  await Promise.race([evicting, bed.blocked()]);
  const seen = await bed.value<number>("select count(*)::int from fractal.checkpoints where thread_id = $1", [
    fence.threadId,
  ]);
  // From the commit on it may go on.
  const early = over;
  await zombie.query("commit");
  const later = await bed.value<number>("select count(*)::int from fractal.checkpoints where thread_id = $1", [
    fence.threadId,
  ]);
  await evicting;
  if (early && later !== seen)
    return `I3: the lane was taken, and ${later - seen} checkpoint of its former holder came after it`;
  return undefined;
};

/** I3: every attempt has an epoch of its own, and the sweep leaves the lane beyond that of the attempt it ended. */
export const epochsGrow: Check = async (bed) => {
  const { run, fence } = await held(bed, { max_attempts: 5 });
  const epochOf = () =>
    bed.value<string>("select epoch from fractal.lanes where thread_id = $1", [run.thread_id]).then(Number);
  let last = fence;
  for (let attempt = 2; attempt <= 3; attempt++) {
    await bed.b.workers.remove(attempt === 2 ? "w1" : "w2");
    await bed.a.runs.sweep();
    if ((await epochOf()) <= last.epoch)
      return `I3: after the sweep the lane still has epoch ${last.epoch} of the attempt it took`;
    await endBackoffs(bed);
    await bed.a.workers.register(workerInfo("w2"), 600_000);
    const [next] = await bed.a.runs.claimSuspects(W2);
    if (next === undefined) throw new Error("the run of a dead worker cannot be claimed");
    if (next.epoch <= last.epoch)
      return `I3: attempt ${attempt} has epoch ${next.epoch}, the one before had ${last.epoch}`;
    last = fenceOf(next);
  }
  await bed.a.runs.release(last);
  const [again] = await bed.a.runs.claimSuspects(W2);
  if (again === undefined) throw new Error("a released run cannot be claimed");
  return again.epoch > last.epoch ? undefined : `I3: after a release the run has epoch ${again.epoch} again`;
};

/** A worker whose lease is over, or that drains, is given nothing. */
export const deadWorkersClaimNothing: Check = async (bed) => {
  for (const leave of ["remove", "drain"] as const) {
    await bed.a.workers.register(workerInfo("w1"), 600_000);
    await bed.a.workers[leave]("w1");
    const made = await bed.a.runs.create(ALICE, newRun(crypto.randomUUID()), W1);
    if (made.kind !== "created") throw new Error(made.kind);
    if (made.claimed) return `I3: a worker that is gone (${leave}) was given a run with its creation`;
    if ((await bed.a.runs.claim(W1)).length > 0) return `I3: a worker that is gone (${leave}) was given a run`;
    if ((await bed.a.runs.claimRun(W1, made.run.run_id)) !== undefined)
      return `I3: a worker that is gone (${leave}) took a run`;
  }
  return undefined;
};
