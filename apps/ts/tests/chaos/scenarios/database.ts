import { expect } from "bun:test";
import { checkDelivered, checkStream, settled } from "../check.ts";
import { ask, post, replay, streamRun } from "../client.ts";
import { DatabaseProxy } from "../database-proxy.ts";
import { Fleet } from "../fleet.ts";
import { Load, streams } from "../load.ts";
import { type Effort, eventually, generator, pause, type Scenario, steps, within } from "../scenario.ts";

/** Statements whose answer may be lost, and whether a run of that moment may need another attempt. */
const STATEMENTS = [
  "fractal.create_run_v1",
  "fractal.claim_v1",
  "fractal.commit_v1",
  "fractal.finish_v1",
  "fractal.sweep_v2",
];

/** A state write whose answer is lost: the thread takes the next one, though its process lives on. */
async function lostStateWrites(fleet: Fleet, between: DatabaseProxy): Promise<void> {
  const { url } = fleet.at(0);
  for (const statement of ["fractal.acquire_v2", "fractal.complete_v1"]) {
    const threadId = await fleet.thread();
    const runs = `/threads/${threadId}/runs`;
    const run = { assistant_id: "steps", input: { steps: 2, ms: 0 } };
    await ask(url, `${runs}/wait`, run);
    between.loseAnswerTo(statement);
    const write = () => post(url, `/threads/${threadId}/state`, { values: { log: ["written"] }, as_node: "step" });
    const first = await write();
    expect(between.armed).toBe(false);
    expect([200, 503], statement).toContain(first.status);
    await eventually(write, ({ status }) => status === 200, 25_000);
    await ask(url, `${runs}/wait`, run);
  }
}

async function lostAnswer(): Promise<string> {
  let proxy: DatabaseProxy | undefined;
  await using fleet = await Fleet.start({
    instances: 1,
    env: { DATABASE_PREPARE: "false", N_JOBS_PER_WORKER: "1" },
    through: async (url) => {
      proxy = await DatabaseProxy.start(url);
      return proxy.url;
    },
  });
  await using between = proxy as DatabaseProxy;
  const url = fleet.at(0).url;
  const broken: string[] = [];
  for (const statement of STATEMENTS) {
    const threadId = await fleet.thread();
    const runs = `/threads/${threadId}/runs`;
    between.loseAnswerTo(statement);
    const body = { assistant_id: "steps", input: { steps: 3, ms: 20 } };
    const { run_id: first } = await ask(url, runs, body);
    // The second waits for the only slot, so that it is claimed and not taken with its creation.
    const { run_id: second } = await ask(url, runs, { ...body, input: { steps: 5, ms: 20 } });
    await eventually(
      async () => between.armed,
      (armed) => !armed,
    );
    const left = "select run_id, status from fractal.runs where run_id = any ($1) and status in ('pending', 'running')";
    const rest = await eventually(
      () => fleet.query(left, [[first, second]]),
      ({ length }) => length === 0,
      25_000,
    ).catch((error: Error) => error);
    if (rest instanceof Error) broken.push(`${statement}: ${rest.message}`);
    else expect((await ask(url, `/threads/${threadId}`)).values.log).toEqual(steps(5));
  }
  expect(broken, "I1: runs that do not end after the answer to a statement was lost").toEqual([]);
  await lostStateWrites(fleet, between);
  await settled(fleet);
  return `${between.lost} answers lost`;
}

async function restart(effort: Effort): Promise<string> {
  const random = generator(effort.seed);
  await using fleet = await Fleet.start({
    ownPostgres: true,
    env: { FRACTAL_CANCEL_GRACE_SECONDS: "1", FRACTAL_MAX_ATTEMPTS: "100" },
  });
  const load = new Load(fleet, random);
  await load.start(6);
  const n = effort.n(60, 400);
  const followed = streams(fleet, 3, { steps: n, ms: 60 });
  const rounds = effort.n(3, 20);
  const recoveries: number[] = [];
  for (let i = 0; i < rounds; i++) {
    await pause(500 + random() * 1500);
    await fleet.postgres.restart("immediate");
    const back = performance.now();
    await eventually(
      () =>
        ask(fleet.url(), "/runs/wait", { assistant_id: "counter", input: { steps: 1 } }).catch((error: Error) => error),
      (answer) => !(answer instanceof Error),
    );
    recoveries.push(performance.now() - back);
  }
  await load.stop();
  for (const seen of await followed) {
    checkStream(seen.events);
    checkDelivered(seen.events, await replay(fleet.at(0), seen));
    expect(seen.events.findLast(({ event }) => event === "values")?.data.log).toEqual(steps(n));
  }
  await settled(fleet, load);
  await load.checkStates();
  return `${rounds} restarts, ${load.accepted.length} runs accepted; ${within(effort, "I21: until runs are done again", [Math.max(...recoveries), 10_000])}`;
}

/** No hint arrives: the connections that listen are cut again and again. */
async function halfOpen(effort: Effort): Promise<string> {
  await using fleet = await Fleet.start({ env: { FRACTAL_ROLE: "all" } });
  // One that accepts and never executes, so that every run has to be found by the other.
  const api = await fleet.add({ env: { FRACTAL_ROLE: "api" } });
  let deaf = true;
  let cuts = 0;
  const cutting = (async () => {
    while (deaf) {
      const cut = await fleet.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and query ~* '^(listen|select pg_notify)'",
      );
      cuts += cut.length;
      await pause(10);
    }
  })();
  const waits: number[] = [];
  try {
    for (let i = 0; i < effort.n(10, 200); i++) {
      const threadId = await fleet.thread();
      const asked = performance.now();
      const { run_id } = await ask(api.url, `/threads/${threadId}/runs`, {
        assistant_id: "steps",
        input: { steps: 1 },
      });
      await fleet.judge.until(() => fleet.judge.of(run_id).length > 0);
      waits.push(performance.now() - asked);
    }
    const threadId = await fleet.thread();
    const seen = await streamRun(fleet, {
      threadId,
      pick: () => api.url,
      body: {
        assistant_id: "steps",
        input: { steps: 10, ms: 50 },
        stream_mode: ["updates", "values"],
        stream_resumable: true,
      },
    });
    checkStream(seen.events);
    // A cancel without hints: the next beat tells the executor.
    const { run_id } = await ask(api.url, `/threads/${threadId}/runs`, { assistant_id: "slow", input: { ms: 60_000 } });
    await eventually(
      () => ask(api.url, `/threads/${threadId}/runs/${run_id}`),
      ({ status }) => status === "running",
    );
    await ask(api.url, `/threads/${threadId}/runs/${run_id}/cancel?wait=1`, {});
    expect((await ask(api.url, `/threads/${threadId}/runs/${run_id}`)).status).toBe("interrupted");
  } finally {
    deaf = false;
    await cutting;
  }
  expect(cuts).toBeGreaterThan(6);
  await settled(fleet);
  return within(effort, "I12: from creation to start without hints, the longest", [Math.max(...waits), 1_200]);
}

/** The database answers nobody for longer than a lease, while connections stay open. */
async function silence(effort: Effort): Promise<void> {
  let proxy: DatabaseProxy | undefined;
  await using fleet = await Fleet.start({
    through: async (url) => {
      proxy = await DatabaseProxy.start(url);
      return proxy.url;
    },
  });
  await using between = proxy as DatabaseProxy;
  for (let i = 0; i < effort.n(1, 10); i++) {
    const followed = streams(fleet, 2, { steps: 40, ms: 50 });
    await fleet.judge.until(() => fleet.judge.calls.length > 10);
    between.silent = true;
    await pause(effort.n(4_000, 20_000));
    between.silent = false;
    between.cut();
    for (const seen of await followed) {
      checkStream(seen.events);
      expect(seen.events.findLast(({ event }) => event === "values")?.data.log).toEqual(steps(40));
    }
    await settled(fleet);
  }
}

/** `reject` over HTTP, on two instances. */
async function reject(effort: Effort): Promise<void> {
  await using fleet = await Fleet.start({ mutations: effort.mutations });
  const rounds = effort.n(20, 500);
  const threadId = await fleet.thread();
  for (let i = 0; i < rounds; i++) {
    const body = { assistant_id: "slow", input: { ms: 60_000 }, multitask_strategy: "reject" };
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => post(fleet.url(), `/threads/${threadId}/runs`, body)),
    );
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses, `I10: round ${i}`).toEqual([200, ...Array.from({ length: 11 }, () => 409)]);
    const accepted = answers.find(({ status }) => status === 200) as Response;
    const { run_id } = (await accepted.json()) as { run_id: string };
    await ask(fleet.url(), `/threads/${threadId}/runs/${run_id}/cancel?wait=1`, {});
  }
  await settled(fleet);
}

export const DATABASE: Scenario[] = [
  {
    name: "T-LOSTANSWER",
    proves: "I1: a statement that was committed and whose answer was lost leaves no run or held thread behind",
    run: lostAnswer,
  },
  {
    name: "T-PGRESTART",
    proves: "I1, I21: Postgres is restarted as by a crash under load; nothing accepted is lost, streams go on",
    slow: true,
    run: restart,
  },
  {
    name: "T-HALFOPEN",
    proves: "I12, I15: without any hint runs start, streams go on and cancels arrive",
    run: halfOpen,
  },
  {
    name: "T-PARTITION",
    proves: "I1, I3: a database that does not answer for longer than a lease costs no run",
    run: silence,
  },
  {
    name: "T-REJECT",
    proves: "I10: of 12 concurrent creates over HTTP exactly one is accepted, the others are 409",
    run: reject,
  },
];
