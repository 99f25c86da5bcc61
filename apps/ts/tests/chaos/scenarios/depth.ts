import { expect } from "bun:test";
import { ALICE, fenceOf, newRun, outcome } from "../../contract/harness.ts";
import { Bed } from "../../invariants/bed.ts";
import { W1, W2 } from "../../invariants/checks-fence.ts";
import { type Effort, percentile, type Scenario } from "../scenario.ts";

interface Plan {
  "Node Type": string;
  "Index Name"?: string;
  "Relation Name"?: string;
  "Shared Hit Blocks": number;
  "Shared Read Blocks": number;
  "Actual Rows": number;
  Plans?: Plan[];
}

/** Every statement inside a function tells its plan to the session. */
const TELL = `load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_analyze = on;
  set auto_explain.log_buffers = on; set auto_explain.log_format = json; set auto_explain.log_nested_statements = on;
  set auto_explain.log_level = notice`;

/** The plan of the claim's own query, after so many claims that the server has settled for one. */
async function scan(bed: Bed): Promise<{ buffers: number; sorted: boolean; index: string | undefined }> {
  const session = await bed.session();
  await session.query(TELL);
  let plan: Plan | undefined;
  session.on("notice", ({ message = "" }) => {
    const json = message.slice(message.indexOf("{"));
    if (message.includes("for update skip locked") && message.includes("unnest(p_graphs)"))
      plan = JSON.parse(json).Plan;
  });
  await session.query("begin");
  for (let i = 0; i < 8; i++) await session.query("select count(*) from fractal.claim_v1('w1', 20, '{agent,other}')");
  await session.query("rollback");
  if (plan === undefined) throw new Error("the claim looks different: its query told no plan");
  const nodes: Plan[] = [];
  const walk = (node: Plan) => {
    nodes.push(node);
    for (const child of node.Plans ?? []) walk(child);
  };
  walk(plan);
  const lanes = nodes.filter((node) => node["Relation Name"] === "lanes");
  return {
    buffers: plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
    // The best of each graph are sorted among each other; what is read from the lanes must not be.
    sorted: nodes.some((node) => node["Node Type"].includes("Sort") && node["Actual Rows"] > 40),
    index: lanes.find((node) => node["Index Name"] !== undefined)?.["Index Name"],
  };
}

/** Rows as they would be after so many creates; over HTTP they would take minutes. */
const FILL = `with made as (
    insert into fractal.runs (run_id, thread_id, tenant, owner, assistant_id, graph_id, status, multitask_strategy, durability,
      on_completion, stateless, logged, vt, run_at, max_attempts, created_at, updated_at, metadata, kwargs)
    select gen_random_uuid(), t.thread_id, t.tenant, t.owner, gen_random_uuid(), 'agent', 'pending', 'enqueue', 'async', 'keep',
      false, true, fractal.now_ms(), fractal.now_ms() - 1, 3, fractal.now_ms(), fractal.now_ms(), '{}', '{}'
    from generate_series(1, $1) i join (select *, row_number() over () as nr from fractal.threads) t
      on t.nr = (i - 1) % (select count(*) from fractal.threads) + 1
    returning 1) select count(*) from made`;

async function filled(threads: number, runs: number): Promise<Bed> {
  const bed = await Bed.open();
  await bed.sql.query(
    "insert into fractal.threads (thread_id, tenant, owner, hidden, status, bound, state_updated_at, created_at, updated_at, metadata) " +
      "select gen_random_uuid(), $2, $3, false, 'busy', true, fractal.now_ms(), fractal.now_ms(), fractal.now_ms(), '{}' from generate_series(1, $1)",
    [threads, ALICE.tenant, ALICE.owner],
  );
  await bed.sql.query("insert into fractal.lanes (thread_id) select thread_id from fractal.threads");
  await bed.sql.query(FILL, [runs]);
  await bed.sql.query("select fractal.promote(thread_id, false, 0) from fractal.lanes");
  await bed.sql.query("vacuum analyze fractal.lanes");
  await bed.sql.query("vacuum analyze fractal.runs");
  return bed;
}

async function depth(effort: Effort): Promise<string> {
  const told: string[] = [];
  const buffers: number[] = [];
  for (const threads of [1, 100, 10_000]) {
    await using bed = await filled(threads, 10_000);
    const found = await scan(bed);
    // A table of a page or two is read as a whole.
    if (threads === 10_000) expect([found.index, found.sorted], "the claim's plan").toEqual(["lanes_ready", false]);
    buffers.push(found.buffers);
    // Two workers take from the whole depth; every run once.
    const times: number[] = [];
    const seen = new Set<string>();
    const rounds = effort.n(40, threads === 1 ? 400 : 100_000);
    const drain = async (claim: typeof W1, storage: Bed["a"]) => {
      for (let i = 0; i < rounds; i++) {
        const began = performance.now();
        const claimed = await storage.runs.claim({ ...claim, slots: 20 });
        times.push(performance.now() - began);
        for (const run of claimed) {
          expect(seen.has(run.run_id), "a run was claimed twice").toBe(false);
          seen.add(run.run_id);
        }
        await Promise.all(claimed.map((run) => storage.runs.finish(fenceOf(run), outcome())));
        if (claimed.length === 0 && threads > 1) return;
      }
    };
    await Promise.all([drain(W1, bed.a), drain(W2, bed.b)]);
    const again = await bed.a.runs.create(ALICE, newRun(crypto.randomUUID()));
    expect(again.kind).toBe("created");
    expect(await bed.a.runs.audit()).toBe(0);
    told.push(
      `${threads} threads: ${found.buffers} buffers, ${seen.size} runs claimed, p50 ${percentile(times, 0.5).toFixed(1)} ms, p99 ${percentile(times, 0.99).toFixed(1)} ms`,
    );
  }
  const [one = 0, hundred = 0, many = 0] = buffers;
  // Twenty lanes and the way to them, however many wait behind.
  expect(Math.max(one, hundred, many), `buffers ${buffers}`).toBeLessThan(200);
  expect(many, `buffers ${buffers}`).toBeLessThanOrEqual(hundred * 2 + 20);
  return told.join("; ");
}

export const DEPTH: Scenario[] = [
  {
    name: "T-10K",
    proves: "I1: with 10,000 runs on 1, 100 and 10,000 threads the claim reads as much as with few",
    slow: true,
    run: depth,
  },
];
