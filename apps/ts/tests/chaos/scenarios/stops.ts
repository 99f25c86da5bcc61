import { expect } from "bun:test";
import { checkDelivered, checkSteps, checkStream, settled } from "../check.ts";
import { ask, post, replay, streamRun } from "../client.ts";
import { Fleet } from "../fleet.ts";
import type { Instance } from "../instance.ts";
import { streams } from "../load.ts";
import { type Effort, eventually, pause, percentile, type Scenario, steps, within } from "../scenario.ts";
import { BareReader } from "../wire.ts";

const STEPS = { config: { recursion_limit: 1000 }, stream_mode: ["updates", "values"], stream_resumable: true };

/** A run that the judge has heard of, asked for on one instance and executed wherever it is. */
async function begun(
  fleet: Fleet,
  body: Record<string, unknown>,
): Promise<{ threadId: string; runId: string; path: string; executor: Instance; other: Instance }> {
  const threadId = await fleet.thread();
  const path = `/threads/${threadId}/runs`;
  const { run_id: runId } = await ask(fleet.url(), path, { assistant_id: "steps", ...STEPS, ...body });
  await fleet.judge.until(() => fleet.judge.of(runId).length >= 3);
  const executor = fleet.executorOf(runId);
  const other = fleet.instances.find((instance) => instance !== executor && instance.running) ?? executor;
  return { threadId, runId, path: `${path}/${runId}`, executor, other };
}

async function cancel(effort: Effort): Promise<string> {
  await using fleet = await Fleet.start();
  const waits: number[] = [];
  for (let i = 0; i < effort.n(6, 200); i++) {
    // The third step hangs in its call, as a model that takes its time.
    const threadId = await fleet.thread();
    const path = `/threads/${threadId}/runs`;
    await ask(fleet.url(), `${path}/wait`, { assistant_id: "steps", input: { steps: 2, ms: 0 } });
    const { run_id: runId } = await ask(fleet.url(), path, {
      assistant_id: "steps",
      ...STEPS,
      input: { steps: 9, ms: 60_000 },
    });
    await fleet.judge.until(() => fleet.judge.of(runId).length > 0);
    const executor = fleet.executorOf(runId);
    const other = fleet.instances.find((instance) => instance !== executor) ?? executor;
    const asked = performance.now();
    const reply = await post(other.url, `${path}/${runId}/cancel?wait=1`);
    expect(reply.status).toBeLessThan(300);
    const [call] = fleet.judge.of(runId);
    await fleet.judge.until(() => call?.aborted !== undefined);
    waits.push((call?.aborted ?? 0) - asked);
    const [run, thread] = await Promise.all([
      ask(other.url, `${path}/${runId}`),
      ask(other.url, `/threads/${threadId}`),
    ]);
    expect([run.status, thread.values.log], "I16").toEqual(["interrupted", steps(2)]);
    const log = await replay(other, { threadId, runId });
    expect(
      log.filter(({ event }) => event === "metadata"),
      "I16: the streamed log",
    ).toHaveLength(1);
    expect(log.at(-1)?.event).toBe("end");
  }
  await settled(fleet);
  return within(effort, "I15: from the cancel to the closed socket across instances, p99", [
    percentile(waits, 0.99),
    1_000,
  ]);
}

async function drain(): Promise<void> {
  await using fleet = await Fleet.start();
  const threadId = await fleet.thread();
  let stopped: Promise<number | null> | undefined;
  const seen = await streamRun(fleet, {
    threadId,
    body: { assistant_id: "steps", ...STEPS, input: { steps: 25, ms: 60 }, on_disconnect: "cancel" },
    onEvent: (_, sofar) => {
      if (stopped === undefined && sofar.filter(({ event }) => event === "updates").length >= 4) {
        stopped = fleet.executorOf(sofar[0]?.data.run_id).stop();
      }
    },
  });
  expect(await stopped, "exit code").toBe(0);
  checkStream(seen.events);
  checkSteps(fleet.judge.of(seen.runId), 25, 0);
  expect(
    seen.events.filter(({ event }) => event === "metadata").map(({ data }) => data.attempt),
    "I20: attempts",
  ).toEqual([1, 1]);
  const left = fleet.instances.find(({ running }) => running) ?? fleet.at(0);
  checkDelivered(seen.events, await replay(left, seen));
  expect((await ask(left.url, `/threads/${threadId}/runs/${seen.runId}`)).status, "I17").toBe("success");
  await settled(fleet);
}

async function disconnect(): Promise<void> {
  await using fleet = await Fleet.start();
  for (const where of ["executor", "other"] as const) {
    // A run cannot be created elsewhere than where it is executed, unless that one is full; a join can.
    const { threadId, runId, path, executor, other } = await begun(fleet, {
      input: { steps: 400, ms: 50 },
      on_disconnect: "cancel",
    });
    const reader = new BareReader(
      (where === "executor" ? executor : other).url,
      `${path}/stream?cancel_on_disconnect=1`,
      { lastId: "-1" },
    );
    await eventually(
      async () => reader.lastId,
      (id) => id !== undefined,
    );
    reader.drop();
    const run = await eventually(
      () => ask(other.url, path),
      ({ status }) => status !== "running",
    );
    expect(run.status, `I17: the client of ${where} has gone`).toBe("interrupted");
    expect((await ask(other.url, `/threads/${threadId}`)).values.log.length).toBeGreaterThan(0);
    expect(fleet.judge.of(runId).at(-1)?.step).toBeLessThan(400);
  }
  // The stream that created the run, on an instance that executes nothing itself.
  const api = await fleet.add({ env: { FRACTAL_ROLE: "api" } });
  for (const on_disconnect of ["cancel", "continue"] as const) {
    const threadId = await fleet.thread();
    const leaving = new AbortController();
    // A resumable run lets its client come back for about three seconds.
    const steps = on_disconnect === "cancel" ? 400 : 60;
    const body = { assistant_id: "steps", ...STEPS, input: { steps, ms: 30 }, on_disconnect };
    const response = await fetch(`${api.url}/threads/${threadId}/runs/stream`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: leaving.signal,
    });
    const path = response.headers.get("content-location") ?? "";
    await fleet.judge.until(() => fleet.judge.of(path.split("/").at(-1) ?? "").length > 2);
    leaving.abort();
    const run = await eventually(
      () => ask(api.url, path),
      ({ status }) => status !== "running",
    );
    expect(run.status, `I17: the creator has gone, ${on_disconnect}`).toBe(
      on_disconnect === "cancel" ? "interrupted" : "success",
    );
  }
  const { path, other } = await begun(fleet, { input: { steps: 40, ms: 30 }, on_disconnect: "continue" });
  const reader = new BareReader(other.url, `${path}/stream`, { lastId: "-1" });
  await eventually(
    async () => reader.lastId,
    (id) => id !== undefined,
  );
  reader.drop();
  await ask(other.url, `${path}/join`);
  expect((await ask(other.url, path)).status).toBe("success");
  await settled(fleet);
}

/** Three instances are restarted one after the other while clients stream, wait and ask. */
async function roll(effort: Effort): Promise<string> {
  await using fleet = await Fleet.start({ instances: 3 });
  const failures: string[] = [];
  let rolling = true;
  let answered = 0;
  const clients = Array.from({ length: 4 }, async () => {
    while (rolling) {
      const url = fleet.url();
      try {
        const { thread_id: threadId } = await ask(url, "/threads", {});
        const values = await ask(fleet.url(), `/threads/${threadId}/runs/wait`, {
          assistant_id: "counter",
          input: { steps: 3, sleep_ms: 30 },
        });
        if (values.log?.length !== 3) failures.push(`wait was answered ${JSON.stringify(values).slice(0, 200)}`);
        const thread = await ask(fleet.url(), `/threads/${threadId}`);
        if (thread.status !== "idle") failures.push(`the thread is ${thread.status}`);
        answered++;
      } catch (error) {
        failures.push(String(error));
      }
    }
  });
  const n = effort.n(120, 600);
  const followed = streams(fleet, 6, { steps: n, ms: 60, durability: "sync" });
  await fleet.judge.until(() => fleet.judge.calls.length > 30);
  const codes: (number | null)[] = [];
  for (let round = 0; round < effort.n(1, 5); round++) {
    for (const instance of fleet.instances) {
      instance.inRotation = false;
      await pause(200);
      codes.push(await instance.stop());
      await instance.start();
      await eventually(
        async () => (await fetch(`${instance.url}/ready`)).status,
        (status) => status === 200,
      );
      await pause(300);
    }
  }
  rolling = false;
  await Promise.all(clients);
  for (const seen of await followed) {
    checkStream(seen.events);
    checkSteps(fleet.judge.of(seen.runId), n, 0);
    expect(
      new Set(seen.events.filter(({ event }) => event === "metadata").map(({ data }) => data.attempt)),
      "I20: attempts",
    ).toEqual(new Set([1]));
  }
  const handedOn = (await followed).filter(({ connections }) => connections > 1).length;
  expect(handedOn, "streams whose run was handed on").toBeGreaterThan(0);
  expect(new Set(codes)).toEqual(new Set([0]));
  const used = await fleet.query("select run_id, attempt from fractal.runs where attempt > 1");
  expect(used, "I20: an attempt was used").toEqual([]);
  expect(failures.slice(0, 5), "I20: requests that failed").toEqual([]);
  await settled(fleet);
  return `${codes.length} restarts, ${answered} waits answered and ${handedOn} of 6 streams handed on meanwhile`;
}

export const STOPS: Scenario[] = [
  {
    name: "T-CANCEL",
    proves:
      "I15, I16: a cancel on one instance closes the model's socket on the other; finished supersteps and log stay",
    run: cancel,
  },
  {
    name: "T-DRAIN",
    proves: "I17, I20: a stop hands a streamed run on, uses no attempt, repeats nothing, and is no disconnect",
    run: drain,
  },
  {
    name: "T-DISC",
    proves: "I17: on_disconnect=cancel is about clients that close, on whichever instance they read",
    run: disconnect,
  },
  {
    name: "T-ROLL",
    proves: "I20: a rolling restart of three under load fails no request beyond reconnects",
    slow: true,
    run: roll,
  },
];
