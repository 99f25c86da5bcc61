import { expect } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkDelivered, checkSteps, checkStream, settled } from "../check.ts";
import { ask, replay, streamRun } from "../client.ts";
import { Fleet } from "../fleet.ts";
import { PROJECT } from "../instance.ts";
import { type Effort, eventually, pause, type Scenario, steps, within } from "../scenario.ts";

async function two(effort: Effort): Promise<string> {
  const gaps: number[] = [];
  // The lease of a real installation where there is time for it.
  await using fleet = await Fleet.start({ env: effort.long ? { FRACTAL_LEASE_SECONDS: "15" } : {} });
  for (let i = 0; i < effort.n(2, 10); i++) {
    const durability = i % 2 === 0 ? "async" : "sync";
    const threadId = await fleet.thread();
    let victim: Promise<void> | undefined;
    const seen = await streamRun(fleet, {
      threadId,
      body: {
        assistant_id: "steps",
        input: { steps: 12, ms: 60 },
        durability,
        stream_mode: ["updates", "values"],
        stream_resumable: true,
      },
      onEvent: (_, sofar) => {
        if (victim !== undefined || sofar.filter(({ event }) => event === "updates").length < 4) return;
        victim = fleet.executorOf(sofar[0]?.data.run_id).kill();
      },
    });
    await victim;
    checkStream(seen.events);
    expect(seen.events.filter(({ event }) => event === "metadata").map(({ data }) => data.attempt)).toEqual([1, 2]);
    expect(seen.events.findLast(({ event }) => event === "values")?.data.log).toEqual(steps(12));
    checkSteps(fleet.judge.of(seen.runId), 12, durability === "sync" ? 0 : "loosely");
    const [survivor, dead] = [
      fleet.instances.find(({ running }) => running),
      fleet.instances.find(({ running }) => !running),
    ];
    if (survivor === undefined || dead === undefined) throw new Error("one was to be killed, and one not");
    checkDelivered(seen.events, await replay(survivor, seen));
    expect((await ask(survivor.url, `/threads/${threadId}`)).status).toBe("idle");
    gaps.push(seen.longestGap);
    await dead.start();
  }
  await settled(fleet);
  return within(effort, "from the kill to the client's next event", [Math.max(...gaps), 20_000]);
}

/** Bystanders of a kill: who waits or joins on the instance that lives is answered; a create is accepted once by its key. */
async function bystanders(): Promise<void> {
  await using fleet = await Fleet.start();
  const threadId = await fleet.thread();
  const path = `/threads/${threadId}/runs`;
  const { run_id: runId } = await ask(fleet.at(0).url, path, { assistant_id: "steps", input: { steps: 15, ms: 60 } });
  await fleet.judge.until(() => fleet.judge.of(runId).length >= 3);
  const executor = fleet.executorOf(runId);
  const other = fleet.instances.find((instance) => instance !== executor) ?? executor;
  const joined = ask(other.url, `${path}/${runId}/join`);
  const queued = ask(other.url, `${path}/wait`, { assistant_id: "steps", input: { steps: 18, ms: 5 } });
  const key = crypto.randomUUID();
  const create = async (url: string): Promise<string> => {
    const headers = { "content-type": "application/json", "idempotency-key": key };
    const body = JSON.stringify({ assistant_id: "counter", input: { steps: 1 } });
    const response = await fetch(`${url}/threads/${threadId}/runs`, { method: "POST", headers, body });
    return ((await response.json()) as { run_id: string }).run_id;
  };
  const first = await create(executor.url);
  await executor.kill();
  expect(await create(other.url), "a create that was sent again").toBe(first);
  expect((await joined).log).toEqual(steps(15));
  expect((await queued).log).toEqual(steps(18));
  await settled(fleet);
}

async function lonely(): Promise<void> {
  const project = mkdtempSync(join(tmpdir(), "fractal-chaos-graphs-"));
  writeFileSync(
    join(project, "langgraph.json"),
    JSON.stringify({ graphs: { lonely: { path: join(PROJECT, "steps.ts:graph") } } }),
  );
  try {
    await using fleet = await Fleet.start({ instances: 1 });
    const own = await fleet.add({ project });
    const runs = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const { thread_id: threadId } = await ask(own.url, "/threads", {});
        const body = { assistant_id: "lonely", input: { steps: 3, ms: 10 } };
        const { run_id: runId } = await ask(own.url, `/threads/${threadId}/runs`, body);
        return { threadId, runId };
      }),
    );
    await Promise.all(runs.map(({ threadId, runId }) => ask(own.url, `/threads/${threadId}/runs/${runId}/join`)));
    expect(new Set(fleet.judge.calls.map(({ pid }) => pid))).toEqual(new Set([own.pid]));
    // And while it is away they wait.
    const threadId = runs[0]?.threadId ?? "";
    const waiting = await ask(own.url, `/threads/${threadId}/runs`, {
      assistant_id: "lonely",
      input: { steps: 200, ms: 50 },
    });
    await fleet.judge.until(() => fleet.judge.of(waiting.run_id).length > 0);
    await own.kill();
    const requeued = () =>
      fleet.query("select status from fractal.runs where run_id = $1 and status = 'pending'", [waiting.run_id]);
    await eventually(requeued, ({ length }) => length === 1);
    expect((await ask(fleet.at(0).url, "/runs/wait", { assistant_id: "steps", input: { steps: 2 } })).count).toBe(2);
    await pause(500);
    expect(await requeued()).toHaveLength(1);
    await ask(fleet.at(0).url, `/threads/${threadId}/runs/${waiting.run_id}/cancel?wait=1`, {});
    await settled(fleet);
  } finally {
    rmSync(project, { recursive: true });
  }
}

export const TWO: Scenario[] = [
  {
    name: "T-TWO",
    proves: "I1, I7: kill -9 of the executor in mid-stream: the client sees the run end, no finished step is repeated",
    run: two,
  },
  {
    name: "T-BYSTANDERS",
    proves: "I1: who waits on the other instance is answered, and a create that is sent again is one run",
    run: bystanders,
  },
  {
    name: "T-LONELY",
    proves: "a run of a graph that only one instance has loaded is never taken by the other",
    run: lonely,
  },
];
