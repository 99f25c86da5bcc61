import type { RunRecord } from "#core/runs/repository";
import { ALICE, checkpoint, event, fenceOf, newRun, outcome, put, state, workerInfo } from "../contract/harness.ts";
import type { Bed } from "./bed.ts";
import { type Check, endBackoffs, held, type Violation, W1, W2 } from "./checks-fence.ts";

const settled = async (bed: Bed): Promise<Violation> => {
  const repaired = await bed.a.runs.audit();
  if (repaired !== 0) return `I5: ${repaired} lanes contradict their runs`;
  const stuck = await bed.value<number>(
    "select count(*)::int from fractal.lanes where active is not null or head_seq is not null",
  );
  return stuck === 0 ? undefined : `I5: ${stuck} lanes that nobody will free`;
};

/** Ends everything that is left, as a worker would. */
export async function workOff(bed: Bed, done: (run: RunRecord) => void = () => undefined): Promise<void> {
  for (;;) {
    const claimed = await bed.a.runs.claim(W1);
    if (claimed.length === 0) return;
    for (const run of claimed) {
      done(run);
      await bed.a.runs.finish(fenceOf(run), outcome());
    }
  }
}

/** I10: of n concurrent `reject` creates on an idle thread exactly one is accepted; on a thread that has run, or a new one. */
const oneRejectWins =
  (rounds: number, creates: number): Check =>
  async (bed) => {
    const used = (await held(bed)).run.thread_id;
    for (let round = 0; round < rounds; round++) {
      await bed.a.runs
        .inflight(ALICE, { status: "running" })
        .then((runs) => Promise.all(runs.map((run) => bed.a.runs.finish(fenceOf(run), outcome()))));
      await workOff(bed);
      const threadId = round % 4 === 3 ? crypto.randomUUID() : used;
      const made = await Promise.all(
        Array.from({ length: creates }, (_, i) =>
          (i % 2 === 0 ? bed.a : bed.b).runs.create(ALICE, newRun(threadId, { multitask_strategy: "reject" })),
        ),
      );
      const kinds = made.map(({ kind }) => kind);
      const accepted = kinds.filter((kind) => kind === "created").length;
      if (accepted !== 1) return `I10: round ${round}: ${accepted} of ${creates} were accepted`;
      if (kinds.some((kind) => kind !== "created" && kind !== "busy")) return `I10: round ${round}: ${kinds.join(" ")}`;
    }
    await workOff(bed);
    return settled(bed);
  };

export const rejectLetsOneIn = oneRejectWins(100, 12);

/** The claim stops here while somebody else holds the lock: after its statement has begun, before it locks a lane. */
export const CLAIM_BREAKPOINT = {
  name: "break point in the claim",
  sql: () => `create schema fractal_test; create function fractal_test.stop() returns boolean language plpgsql volatile as $$
    begin perform pg_advisory_lock_shared(4711); perform pg_advisory_unlock_shared(4711); return true; end $$`,
};
export const STOP = "and fractal_test.stop()";

/**
 * I1, I5 with a break point: while a claim stands between its snapshot and the lane's lock, the lane's head is replaced by
 * a run that was committed later. The claim must take that run or none, never the lane alone. Needs CLAIM_BREAKPOINT.
 */
export const claimTakesLaneAndRun: Check = async (bed) => {
  const first = await bed.a.runs.create(ALICE, newRun(crypto.randomUUID()));
  if (first.kind !== "created") throw new Error(first.kind);
  const threadId = first.run.thread_id;
  const gate = await bed.session();
  await gate.query("select pg_advisory_lock(4711)");
  const claiming = bed.b.runs.claim(W2).catch((error: Error) => error);
  await bed.blocked();
  const second = await bed.a.runs.create(ALICE, newRun(threadId, { multitask_strategy: "interrupt" }));
  if (second.kind !== "created") throw new Error(second.kind);
  await gate.query("select pg_advisory_unlock(4711)");
  const claimed = await claiming;
  if (claimed instanceof Error) return `I1: the claim failed: ${claimed.message}`;
  for (const run of claimed) await bed.b.runs.finish(fenceOf(run), outcome());
  await workOff(bed);
  const { rows } = await bed.sql.query("select status from fractal.runs where thread_id = $1 order by seq", [threadId]);
  const statuses = rows.map((row: { status: string }) => row.status).join(" ");
  if (statuses !== "interrupted success") return `I1: the runs ended as ${statuses}`;
  return settled(bed);
};

/** I2: the database itself refuses a second running run on a thread. */
export const secondRunningIsRefused: Check = async (bed) => {
  const { run } = await held(bed);
  const next = await bed.a.runs.create(ALICE, newRun(run.thread_id));
  if (next.kind !== "created") throw new Error(next.kind);
  const refused = await bed.sql
    .query("update fractal.runs set status = 'running' where run_id = $1", [next.run.run_id])
    .then(
      () => undefined,
      (error: { code: string }) => error.code,
    );
  return refused === "23505" ? undefined : "I2: two runs of one thread are stored as running";
};

/** I1: the database itself refuses to change the status of a run that has ended. */
export const finalIsFinal: Check = async (bed) => {
  for (const status of ["success", "error", "timeout", "interrupted"] as const) {
    const { run, fence } = await held(bed);
    await bed.a.runs.finish(fence, outcome({ status }));
    for (const to of ["pending", "running", "error", "success"].filter((each) => each !== status)) {
      const refused = await bed.sql
        .query("update fractal.runs set status = $2 where run_id = $1", [run.run_id, to])
        .then(
          () => false,
          () => true,
        );
      if (!refused) return `I1: a run that ended as ${status} became ${to}`;
    }
  }
  return undefined;
};

/** I6: a run whose workers always die is given up after its attempts, and its thread goes on with the next. */
export const attemptsAreCapped: Check = async (bed) => {
  const { run } = await held(bed, { max_attempts: 3 });
  const next = await bed.a.runs.create(ALICE, newRun(run.thread_id));
  if (next.kind !== "created") throw new Error(next.kind);
  for (let crash = 1; crash <= 5; crash++) {
    await bed.a.workers.remove("w1");
    await bed.b.runs.sweep();
    await bed.a.workers.register(workerInfo("w1"), 600_000);
    await endBackoffs(bed);
    const [again] = [...(await bed.a.runs.claimSuspects(W1)), ...(await bed.a.runs.claim(W1))];
    const attempt = await bed.value<number>("select attempt from fractal.runs where run_id = $1", [run.run_id]);
    if (attempt > 3) return `I6: attempt ${attempt} of 3`;
    if (again !== undefined && again.run_id !== run.run_id) break;
  }
  const { rows } = await bed.sql.query(
    "select status, attempt, error from fractal.runs where thread_id = $1 order by seq",
    [run.thread_id],
  );
  const [poison, other] = rows as { status: string; attempt: number; error: { error: string } }[];
  if (poison?.status !== "error" || poison.error.error !== "RunAttemptsExhausted")
    return `I6: it ended as ${JSON.stringify(poison)}`;
  if (other?.status !== "running") return `I6: the next run is ${other?.status}`;
  return undefined;
};

/** I6: whoever was executed beside a run that ends every process succeeds. */
export const neighboursSurvive: Check = async (bed) => {
  const all: RunRecord[] = [];
  for (let i = 0; i < 8; i++) all.push((await held(bed)).run);
  const poison = (all[5] as RunRecord).run_id;
  /** False: the worker has died, with all that it executed. */
  const work = async (): Promise<boolean> => {
    for (;;) {
      const suspects = await bed.a.runs.claimSuspects(W1);
      const claimed = suspects.length > 0 ? suspects : await bed.a.runs.claim(W1);
      if (claimed.length === 0) return true;
      if (claimed.some(({ run_id }) => run_id === poison)) return false;
      for (const run of claimed) await bed.a.runs.finish(fenceOf(run), outcome());
    }
  };
  let lives = false;
  for (let death = 0; death < 20 && !lives; death++) {
    await bed.a.workers.remove("w1");
    await bed.b.runs.sweep();
    await bed.a.workers.register(workerInfo("w1"), 600_000);
    await endBackoffs(bed);
    lives = await work();
  }
  const { rows } = await bed.sql.query("select run_id, status, error from fractal.runs order by seq");
  for (const { run_id, status } of rows as { run_id: string; status: string }[]) {
    const wanted = run_id === poison ? "error" : "success";
    if (status !== wanted) return `I6: a run that should end as ${wanted} is ${status}`;
  }
  return settled(bed);
};

/** I11: runs of a thread start in the order in which they were created, whoever claims them. */
export const enqueueKeepsOrder: Check = async (bed) => {
  const threadId = crypto.randomUUID();
  const created: string[] = [];
  for (let i = 0; i < 8; i++) {
    const made = await (i % 2 === 0 ? bed.a : bed.b).runs.create(ALICE, newRun(threadId));
    if (made.kind !== "created") throw new Error(made.kind);
    created.push(made.run.run_id);
  }
  const started: string[] = [];
  for (let i = 0; i < 8; i++) {
    const claimed = await Promise.all([bed.a.runs.claim(W1), bed.b.runs.claim(W2)]);
    const runs = claimed.flat();
    if (runs.length !== 1) return `I2: ${runs.length} runs of one thread were claimed at once`;
    const [run] = runs as [RunRecord];
    started.push(run.run_id);
    await bed.a.runs.finish(fenceOf(run), outcome());
  }
  return started.join() === created.join()
    ? undefined
    : `I11: started in another order: ${started.map((id) => created.indexOf(id))}`;
};

/** I14: a rollback leaves no row of the run, and the thread's head and state are those before it. */
export const rollbackLeavesNothing: Check = async (bed) => {
  const { run, fence } = await held(bed);
  await bed.a.checkpoints.commit([put(fence, checkpoint(fence, "c1"))]);
  await bed.a.runs.finish(fence, outcome({ state: state({ n: 1 }) }));
  const picture = async () => {
    const { rows } = await bed.sql.query(
      `select (select json_agg(c order by c.checkpoint_id) from fractal.checkpoints c where thread_id = $1) as checkpoints,
        (select json_agg(e order by e.epoch, e.n) from fractal.run_events e where thread_id = $1) as events,
        (select json_agg(w order by w.checkpoint_id) from fractal.checkpoint_writes w where thread_id = $1) as writes,
        (select json_agg(s) from fractal.thread_states s where thread_id = $1) as states,
        (select json_agg(r.run_id) from fractal.runs r where thread_id = $1) as runs,
        (select status from fractal.threads where thread_id = $1) as status`,
      [run.thread_id],
    );
    return JSON.stringify(rows[0]);
  };
  const before = await picture();
  for (const how of ["finish", "evict", "sweep"] as const) {
    await bed.a.workers.register(workerInfo("w1"), 600_000);
    const made = await bed.a.runs.create(ALICE, newRun(run.thread_id), W1);
    if (made.kind !== "created" || !made.claimed) throw new Error("not claimed");
    const next = fenceOf(made.run);
    await bed.a.checkpoints.commit([
      put(next, checkpoint(next, "c2", { parent_checkpoint_id: "c1" })),
      { kind: "events", fence: next, rows: [event(next.epoch, 0, { run_id: next.runId })] },
    ]);
    await bed.b.runs.cancel(ALICE, { run_id: next.runId }, "rollback");
    if (how === "finish") await bed.a.runs.finish(next, outcome({ state: state({ n: 2 }) }));
    else if (how === "evict") await bed.a.runs.evict(next);
    else {
      await bed.a.workers.remove("w1");
      await bed.b.runs.sweep();
    }
    const after = await picture();
    if (after !== before) return `I14 by ${how}: ${before} became ${after}`;
  }
  return settled(bed);
};
