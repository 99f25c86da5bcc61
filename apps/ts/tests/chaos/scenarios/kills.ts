import { expect } from "bun:test";
import { checkDelivered, checkSteps, checkStream, settled } from "../check.ts";
import { ask, replay } from "../client.ts";
import { Fleet } from "../fleet.ts";
import { Load, streams } from "../load.ts";
import { type Effort, eventually, generator, pause, type Scenario, steps, within } from "../scenario.ts";

async function kill(effort: Effort): Promise<string> {
  const random = generator(effort.seed);
  await using fleet = await Fleet.start({
    instances: 3,
    env: { FRACTAL_CANCEL_GRACE_SECONDS: "1", FRACTAL_MAX_ATTEMPTS: "100" },
  });
  const load = new Load(fleet, random);
  await load.start(6);
  const n = effort.n(40, 300);
  const followed = (["sync", "async"] as const).map((durability) => ({
    durability,
    streams: streams(fleet, 2, { steps: n, ms: 100, durability }),
  }));
  const rounds = effort.n(5, 120);
  for (let i = 0; i < rounds; i++) {
    await pause(300 + random() * 1200);
    const victim = fleet.at(Math.floor(random() * 3));
    fleet.history.note("chaos", "kill", { what: victim.name });
    await victim.kill();
    await victim.start();
    if (i % 3 === 2) await load.renew();
  }
  await load.stop();
  for (const { durability, streams: ended } of followed) {
    for (const seen of await ended) {
      checkStream(seen.events);
      checkSteps(fleet.judge.of(seen.runId), n, durability === "sync" ? 0 : "loosely");
      checkDelivered(seen.events, await replay(fleet.at(0), seen));
    }
  }
  await settled(fleet, load);
  await load.checkStates();
  const unexpected = load.failures.filter(
    (failure) => !/unable to connect|ECONN|socket|closed|timed out/i.test(failure),
  );
  expect(unexpected.filter((failure) => !failure.includes(": 503 ")).slice(0, 3)).toEqual([]);
  return `${rounds} kills, ${load.accepted.length} runs accepted`;
}

/** SIGSTOP for longer than the lease; meanwhile another takes over; SIGCONT: nothing of the old one is stored. */
async function zombie(effort: Effort): Promise<void> {
  for (let i = 0; i < effort.n(1, 20); i++) {
    await using fleet = await Fleet.start({ mutations: effort.mutations });
    const [a, b] = [fleet.at(0), fleet.at(1)];
    const { thread_id: threadId } = await ask(a.url, "/threads", {});
    const runs = `/threads/${threadId}/runs`;
    const body = {
      assistant_id: "steps",
      input: { steps: 40, ms: 40 },
      durability: "sync",
      config: { recursion_limit: 100 },
      stream_resumable: true,
    };
    const { run_id: runId } = await ask(a.url, runs, body);
    await fleet.judge.until(() => fleet.judge.of(runId).length >= 5);
    const executor = fleet.executorOf(runId);
    const other = executor === a ? b : a;
    executor.pause();
    fleet.history.note("chaos", "stop", { what: executor.name });
    await fleet.judge.until(() => fleet.judge.of(runId).some(({ pid }) => pid === other.pid));
    executor.resume();
    const values = await ask(other.url, `${runs}/${runId}/join`);
    expect(values.log).toEqual(steps(40));
    checkSteps(
      fleet.judge
        .of(runId)
        .filter(({ pid }) => pid === other.pid || pid === executor.pid)
        .filter(beforeTakeover(other.pid)),
      40,
    );
    // The zombie notices, comes back under a new lease, and works again.
    const again = await eventually(
      () => ask(executor.url, "/runs/wait", { assistant_id: "steps", input: { steps: 1 } }),
      () => true,
    );
    expect(again.count).toBe(1);
    await eventually(
      async () => (await fetch(`${executor.url}/ready`)).status,
      (status) => status === 200,
    );
    await settled(fleet);
  }
}

/** Calls of the paused process after the other had taken over are its last, unfinished ones: they count for nothing. */
function beforeTakeover(pid: number) {
  let taken = false;
  return (call: { pid: number }) => {
    if (call.pid === pid) taken = true;
    return !taken || call.pid === pid;
  };
}

async function block(effort: Effort): Promise<string> {
  const ms = effort.n(8_000, 60_000);
  await using fleet = await Fleet.start({
    mutations: effort.mutations,
    env: { FRACTAL_LEASE_SECONDS: effort.long ? "15" : "3" },
  });
  const threadId = await fleet.thread();
  const made = await ask(fleet.at(0).url, `/threads/${threadId}/runs`, { assistant_id: "block", input: { ms } });
  await fleet.judge.until(() => fleet.judge.calls.length > 0);
  const executor = fleet.executorOf(made.run_id);
  const other = fleet.instances.find((instance) => instance !== executor) ?? fleet.at(1);
  const values = await ask(other.url, `/threads/${threadId}/runs/${made.run_id}/join`);
  expect(values.done).toBe(true);
  expect(fleet.judge.calls, "I4: executed again while the first was at work").toHaveLength(1);
  const [run] = await fleet.query<{ attempt: number }>("select attempt from fractal.runs where run_id = $1", [
    made.run_id,
  ]);
  expect(run?.attempt).toBe(1);
  await settled(fleet);
  return `blocked for ${ms} ms`;
}

async function poison(): Promise<void> {
  await using fleet = await Fleet.start({ instances: 3 });
  const guards = fleet.instances.map(async (instance) => {
    // Each of the three attempts kills one; somebody starts it again.
    for (;;) {
      await instance.exited();
      if (over) return;
      // It may take the run, and die, before it has said that it is ready.
      await instance.start().catch(() => undefined);
    }
  });
  let over = false;
  const threadId = await fleet.thread();
  const { run_id: runId } = await ask(fleet.url(), `/threads/${threadId}/runs`, { assistant_id: "poison", input: {} });
  const { run_id: nextId } = await ask(fleet.url(), `/threads/${threadId}/runs`, {
    assistant_id: "counter",
    input: { steps: 2 },
  }).catch(async () => ask(fleet.url(), `/threads/${threadId}/runs`, { assistant_id: "counter", input: { steps: 2 } }));
  await settled(fleet, { within: 90_000 });
  const find = (id: string) =>
    fleet.query<{ status: string; attempt: number; error: { error: string } | null }>(
      "select status, attempt, error from fractal.runs where run_id = $1",
      [id],
    );
  const [[bad], [good]] = [await find(runId), await find(nextId)];
  expect([bad?.status, bad?.attempt, bad?.error?.error]).toEqual(["error", 3, "RunAttemptsExhausted"]);
  expect([good?.status, good?.attempt]).toEqual(["success", 1]);
  over = true;
  await Promise.all(fleet.instances.map((instance) => instance.kill()));
  await Promise.all(guards);
}

/** A node that does not hear its cancel: the lane is taken from it after the grace, and what it still writes is refused. */
async function deaf(effort: Effort): Promise<string> {
  await using fleet = await Fleet.start({ mutations: effort.mutations, env: { FRACTAL_CANCEL_GRACE_SECONDS: "1" } });
  const waits: number[] = [];
  for (const strategy of ["interrupt", "rollback"]) {
    const threadId = await fleet.thread();
    const runs = `/threads/${threadId}/runs`;
    const long = { assistant_id: "unhearing", input: { steps: 60, ms: 60 }, config: { recursion_limit: 100 } };
    const { run_id: runId } = await ask(fleet.at(0).url, runs, long);
    await fleet.judge.until(() => fleet.judge.of(runId).length >= 3);
    const asked = performance.now();
    const next = {
      assistant_id: "steps",
      input: { steps: 30, ms: 40 },
      config: { recursion_limit: 100 },
      multitask_strategy: strategy,
    };
    const { run_id: nextId } = await ask(fleet.at(1).url, runs, next);
    await fleet.judge.until(() => fleet.judge.of(nextId).length > 0);
    waits.push(performance.now() - asked);
    const values = await ask(fleet.at(1).url, `${runs}/${nextId}/join`);
    expect(values.log).toEqual(steps(30));
    if (strategy === "rollback") {
      const left =
        "select (select count(*) from fractal.checkpoints where run_id = $1) + (select count(*) from fractal.run_events where run_id = $1) as n";
      const [rows] = await fleet.query<{ n: string }>(left, [runId]);
      expect(rows?.n, "I14: rows of a run that was rolled back").toBe("0");
    }
  }
  await settled(fleet);
  return within(effort, "I13: from the new run's creation to its start", [Math.max(...waits), 1_000 + 3_000]);
}

export const KILLS: Scenario[] = [
  {
    name: "T-KILL",
    proves: "I1, I2, I3, I5, I7: three instances under load are killed at random, no run is lost or doubled",
    slow: true,
    run: kill,
  },
  {
    name: "T-ZOMBIE",
    proves: "I3: an instance that stood still for longer than its lease changes nothing when it goes on",
    run: zombie,
  },
  {
    name: "T-BLOCK",
    proves: "I4: a node that blocks the event loop for longer than the lease is not executed again",
    run: block,
  },
  {
    name: "T-POISON",
    proves: "I6: a run that kills its process is given up after its attempts, and others go on",
    slow: true,
    run: poison,
  },
  {
    name: "T-DEAF",
    proves: "I13, I14: a cancelled run that does not listen loses its thread, and writes nothing after that",
    run: deaf,
  },
];
