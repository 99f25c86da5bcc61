import type { Check } from "./checks-fence.ts";
import { commitHoldsTheLane, deadWorkersClaimNothing, epochsGrow, zombieWritesNothing } from "./checks-fence.ts";
import {
  attemptsAreCapped,
  CLAIM_BREAKPOINT,
  claimTakesLaneAndRun,
  enqueueKeepsOrder,
  finalIsFinal,
  neighboursSurvive,
  rejectLetsOneIn,
  rollbackLeavesNothing,
  STOP,
  secondRunningIsRefused,
} from "./checks-lanes.ts";
import { headIsWrittenLast } from "./checks-order.ts";
import { type Mutation, mutated } from "./mutate.ts";

const LANES_READY = "where l.ready and l.head_graph = g";
const stopped: [string, string] = [LANES_READY, `${LANES_READY} ${STOP}`];

/** The product's claim with a break point, for the check that needs one. */
export function withBreakpoint(check: Check): Mutation[] {
  if (check !== claimTakesLaneAndRun) return [];
  return [CLAIM_BREAKPOINT, { name: "claim that stops", sql: () => mutated("claim_v1", stopped) }];
}

/** Lanes and runs in one statement, as in the first of the two traps: the lane is locked anew, the run is not. */
function oneStatement(): string {
  const text = mutated("claim_v1", stopped);
  const begin = text.indexOf("  v_threads := array(");
  const end = text.indexOf("end $$", begin);
  if (begin < 0 || end < 0) throw new Error("the claim looks different: adapt the mutation");
  return `${text.slice(0, begin)}  return query
    with heads as (
      select l.thread_id from fractal.lanes l
        where l.ready and l.head_graph = any (p_graphs) ${STOP}
        order by l.head_vt limit p_slots for update skip locked),
    taken as (
      update fractal.lanes l set epoch = l.epoch + 1, active_seq = l.head_seq, worker_id = p_worker,
        active = '00000000-0000-4000-8000-000000000000', head_seq = null, head_at = null, head_vt = null,
        head_graph = null, ready = false
        from heads h where l.thread_id = h.thread_id returning l.thread_id, l.active_seq, l.epoch)
    update fractal.runs r set status = 'running', attempt = r.attempt + 1, epoch = t.epoch
      from taken t where r.seq = t.active_seq returning r.*;
${text.slice(end)}`;
}

const fn = (name: string, of: string, ...changes: [string, string][]): Mutation => ({
  name,
  sql: () => mutated(of, ...changes),
});

export const UNFENCED: Mutation = fn(
  "commit_v1 without its fence",
  "commit_v1",
  ["where l.thread_id = f.t and l.active = f.r and l.epoch = f.e", "where l.thread_id = f.t"],
  ["where thread_id = p_threads[i] and active = p_runs[i] and epoch = p_epochs[i]", "where thread_id = p_threads[i]"],
);

export const UNLOCKED: Mutation = fn("create_run_v1 without the lane lock", "create_run_v1", [
  "select * into l from fractal.lanes x where x.thread_id = n.thread_id for update;",
  "select * into l from fractal.lanes x where x.thread_id = n.thread_id;",
]);

export const UNINDEXED: Mutation = {
  name: "no unique index of running runs",
  sql: () => "drop index fractal.runs_running",
};

/** All numbers alike leave the order to the ids, which come from the clocks of processes. */
export const UNNUMBERED: Mutation = {
  name: "checkpoints in the order of their ids",
  sql: () =>
    "alter table fractal.checkpoints alter column seq drop identity; " +
    "alter table fractal.checkpoints alter column seq set default 0",
};

/** Each takes one safeguard out of the SQL; `check` must notice. */
export const MUTATIONS: { mutations: Mutation[]; check: Check }[] = [
  {
    mutations: [UNFENCED],
    check: zombieWritesNothing,
  },
  {
    mutations: [UNNUMBERED],
    check: headIsWrittenLast,
  },
  {
    mutations: [
      fn(
        "commit_v1 without the epoch in its fence",
        "commit_v1",
        [" and l.epoch = f.e", ""],
        [" and epoch = p_epochs[i]", ""],
      ),
    ],
    check: zombieWritesNothing,
  },
  {
    mutations: [
      fn("finish_v1 without its fence", "held_run", [
        "if l.active = p_run and l.epoch = p_epoch then",
        "if l.active_seq is not null then",
      ]),
    ],
    check: zombieWritesNothing,
  },
  {
    mutations: [
      fn("take_back_writes_v1 without its fence", "take_back_writes_v1", [
        " and active = p_run and epoch = p_epoch",
        "",
      ]),
    ],
    check: zombieWritesNothing,
  },
  {
    mutations: [fn("commit_v1 without the lock on its lanes", "commit_v1", [" for share skip locked", ""])],
    check: commitHoldsTheLane,
  },
  {
    mutations: [UNLOCKED],
    check: rejectLetsOneIn,
  },
  {
    mutations: [CLAIM_BREAKPOINT, { name: "the claim as one statement", sql: oneStatement }],
    check: claimTakesLaneAndRun,
  },
  {
    mutations: [UNINDEXED],
    check: secondRunningIsRefused,
  },
  {
    mutations: [{ name: "no trigger on ended runs", sql: () => "drop trigger runs_final on fractal.runs" }],
    check: finalIsFinal,
  },
  {
    mutations: [fn("the sweep without a new epoch", "requeue_after", ["v_wait end, 1);", "v_wait end, 0);"])],
    check: epochsGrow,
  },
  {
    mutations: [fn("the claim without a new epoch", "take", ["set epoch = l.epoch + 1", "set epoch = l.epoch"])],
    check: epochsGrow,
  },
  {
    mutations: [
      fn("neither sweep nor claim with a new epoch", "take", ["set epoch = l.epoch + 1", "set epoch = l.epoch"]),
      fn("", "requeue_after", ["v_wait end, 1);", "v_wait end, 0);"]),
    ],
    check: zombieWritesNothing,
  },
  {
    mutations: [fn("claims that do not look at the lease", "is_live", ["and expires_at > fractal.now_ms() ", ""])],
    check: deadWorkersClaimNothing,
  },
  {
    mutations: [fn("claims that do not look at the drain", "is_live", [" and not draining", ""])],
    check: deadWorkersClaimNothing,
  },
  {
    mutations: [
      fn("strikes without a cap", "suspect", ["if p_alone and v_strikes >= r.max_attempts then", "if false then"]),
    ],
    check: attemptsAreCapped,
  },
  {
    mutations: [fn("no quarantine", "quarantine", ["set quarantine = p_group", "set quarantine = null"])],
    check: neighboursSurvive,
  },
  {
    mutations: [
      fn("a quarantine that is not halved", "sweep_worker", ["v_place <= v_half then '/1'", "true then '/1'"]),
    ],
    check: neighboursSurvive,
  },
  {
    mutations: [
      fn("the newest run first", "promote", [
        "order by x.run_at, x.seq limit 1",
        "order by x.run_at desc, x.seq desc limit 1",
      ]),
    ],
    check: enqueueKeepsOrder,
  },
  {
    mutations: [
      fn("a rollback that keeps checkpoints", "purge_run", [
        "delete from fractal.checkpoints where thread_id = r.thread_id and run_id = r.run_id;",
        "perform 1;",
      ]),
    ],
    check: rollbackLeavesNothing,
  },
  {
    mutations: [
      fn("a rollback that keeps events", "purge_run", [
        "delete from fractal.run_events where thread_id = r.thread_id and run_id = r.run_id;",
        "",
      ]),
    ],
    check: rollbackLeavesNothing,
  },
];
