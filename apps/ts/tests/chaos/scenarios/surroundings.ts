import { expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canSkew, clock, forgetClock } from "../../servers/faketime.ts";
import { giveToServer } from "../../servers/kept-process.ts";
import { PgBouncer, pgBouncerAvailable } from "../../servers/pgbouncer.ts";
import { RedisServer, redisAvailable } from "../../servers/redis.ts";
import { checkDelivered, checkSteps, checkStream, settled } from "../check.ts";
import { ask, post, replay, streamRun } from "../client.ts";
import { Fleet } from "../fleet.ts";
import { Load, streams } from "../load.ts";
import { type Effort, generator, pause, type Scenario, steps } from "../scenario.ts";

const LONG = { config: { recursion_limit: 1000 }, stream_mode: ["updates", "values"], stream_resumable: true };

async function redis(effort: Effort): Promise<string> {
  const random = generator(effort.seed);
  await using valkey = await RedisServer.start();
  await using fleet = await Fleet.start({ env: { REDIS_URI: valkey.url, FRACTAL_CANCEL_GRACE_SECONDS: "1" } });
  const load = new Load(fleet, random);
  await load.start(4);
  const n = effort.n(160, 1_000);
  const followed = streams(fleet, 6, { steps: n, ms: 50 });
  const what = ["flush", "restart", "stop", "pause"] as const;
  const rounds = effort.n(4, 60);
  for (let i = 0; i < rounds; i++) {
    await pause(400 + random() * 600);
    const how = what[i % what.length];
    fleet.history.note("chaos", `valkey ${how}`);
    if (how === "flush") await valkey.flushall();
    if (how === "restart") await valkey.restart();
    if (how === "stop") {
      await valkey.stop();
      await pause(1_500);
      await valkey.start();
    }
    if (how === "pause") {
      await valkey.pause();
      await pause(2_500);
      await valkey.resume();
    }
  }
  await load.stop();
  for (const seen of await followed) {
    checkStream(seen.events);
    checkSteps(fleet.judge.of(seen.runId), n, 0);
    for (const instance of fleet.instances) checkDelivered(seen.events, await replay(instance, seen));
  }
  expect(load.failures.slice(0, 3), "I22: requests that failed").toEqual([]);
  await settled(fleet, load);
  await load.checkStates();
  return `${rounds} disturbances, ${load.accepted.length} runs accepted`;
}

async function pgbouncer(effort: Effort): Promise<string> {
  let bouncer: PgBouncer | undefined;
  await using fleet = await Fleet.start({
    env: { DATABASE_PREPARE: "false", FRACTAL_CANCEL_GRACE_SECONDS: "1" },
    through: async (url) => {
      bouncer = await PgBouncer.start(url);
      return bouncer.url();
    },
  });
  await using _ = bouncer as PgBouncer;
  const load = new Load(fleet, generator(effort.seed));
  await load.start(4);
  const n = effort.n(60, 400);
  let killed = false;
  const follow = streamRun(fleet, {
    threadId: await fleet.thread(),
    body: { assistant_id: "steps", ...LONG, durability: "sync", input: { steps: n, ms: 50 } },
    onEvent: (_event, sofar) => {
      if (killed || sofar.length < 10) return;
      killed = true;
      const victim = fleet.executorOf(sofar[0]?.data.run_id);
      void victim.kill().then(() => victim.start());
    },
  });
  const seen = await follow;
  await load.stop();
  checkStream(seen.events);
  checkSteps(fleet.judge.of(seen.runId), n, 0);
  expect(seen.events.filter(({ event }) => event === "metadata")).toHaveLength(2);
  for (const instance of fleet.instances) checkDelivered(seen.events, await replay(instance, seen));
  await settled(fleet, load);
  await load.checkStates();
  return `${load.accepted.length} runs accepted`;
}

/** Instances whose clocks are an hour ahead and an hour behind: only the database's time decides. */
async function skew(): Promise<void> {
  await using fleet = await Fleet.start({ instances: 0 });
  const ahead = await fleet.add({ env: clock("+1h") ?? {} });
  const behind = await fleet.add({ env: clock("-1h") ?? {} });
  const made: { run_id: string; created_at: string }[] = [];
  for (const [here, there] of [
    [ahead, behind],
    [behind, ahead],
  ] as const) {
    const { thread_id: threadId } = await ask(here.url, "/threads", {});
    const runs = `/threads/${threadId}/runs`;
    const delayed = await ask(here.url, runs, { assistant_id: "counter", input: { steps: 1 }, after_seconds: 2 });
    made.push(delayed);
    const began = performance.now();
    await ask(there.url, `${runs}/${delayed.run_id}/join`);
    const waited = performance.now() - began;
    expect(waited, "I19: a delayed run").toBeGreaterThan(1_000);
    expect(waited, "I19: a delayed run").toBeLessThan(20_000);
    const seen = await streamRun(fleet, {
      threadId,
      body: { assistant_id: "steps", ...LONG, input: { steps: 20, ms: 50 } },
      pick: () => there.url,
    });
    checkStream(seen.events);
    checkDelivered(seen.events, await replay(here, seen));
  }
  // One dies, the other takes over: leases are the database's too.
  const threadId = await fleet.thread();
  let victim: Promise<void> | undefined;
  const seen = await streamRun(fleet, {
    threadId,
    body: { assistant_id: "steps", ...LONG, durability: "sync", input: { steps: 20, ms: 60 } },
    pick: (connection) => (connection === 0 ? ahead.url : behind.url),
    onEvent: (_, sofar) => {
      if (victim === undefined && sofar.length > 6) victim = ahead.kill();
    },
  });
  await victim;
  checkStream(seen.events);
  checkSteps(fleet.judge.of(seen.runId), 20, 0);
  const skewed = await fleet.query("select run_id from fractal.runs where abs(created_at - fractal.now_ms()) > 600000");
  expect(skewed, "I19: a time that is not the database's").toEqual([]);
  expect(made.map(({ created_at }) => Math.abs(Date.parse(created_at) - Date.now()) < 600_000)).toEqual([true, true]);
  await settled(fleet);
  await Promise.all([ahead, behind].map((instance) => instance.stop()));
  for (const { pid } of [ahead, behind]) forgetClock(pid);
}

function canMount(): string | undefined {
  if (process.getuid?.() !== 0) return "only root can mount a small file system";
  const folder = mkdtempSync(join(tmpdir(), "fractal-mount-"));
  try {
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]).status !== 0)
      return "no tmpfs can be mounted here";
    spawnSync("umount", [folder]);
    return undefined;
  } finally {
    rmdirSync(folder);
  }
}

/** Text that does not get smaller when it is stored. */
const noise = (length: number) =>
  Array.from({ length: length / 10 }, () => Math.random().toString(36).slice(2, 12).padEnd(10, "x")).join("");

/** The disk of the database fills up under load and is freed again. */
async function diskFull(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "fractal-disk-"));
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=40m", "tmpfs", folder], { encoding: "utf8" });
  if (mounted.status !== 0) throw new Error(mounted.stderr);
  try {
    giveToServer(folder, 0o700);
    await using fleet = await Fleet.start({ ownPostgres: true, env: { FRACTAL_MAX_ATTEMPTS: "100" } });
    // New tables of the server's tablespace lie on the small disk: the log of events, which every streamed run writes.
    await fleet.query(`create tablespace small location '${folder}'`);
    await fleet.query("alter table fractal.run_events set tablespace small");
    await fleet.query("alter table fractal.checkpoints set tablespace small");
    await fleet.query("alter table fractal.runs set tablespace small");
    const threadId = await fleet.thread();
    const running = streamRun(fleet, {
      threadId,
      body: { assistant_id: "steps", ...LONG, input: { steps: 120, ms: 50 } },
    });
    await fleet.judge.until(() => fleet.judge.calls.length > 10);
    const { bavail, bsize } = statfsSync(folder);
    const ballast = join(folder, "ballast");
    writeFileSync(ballast, Buffer.alloc(bavail * bsize));
    const statuses: number[] = [];
    for (let i = 0; i < 12; i++) {
      const big = {
        assistant_id: "flood",
        input: { n: 20, bytes: 20_000 },
        stream_mode: ["custom"],
        stream_resumable: true,
        metadata: { text: noise(100_000) },
      };
      statuses.push((await post(fleet.url(), "/runs", big)).status);
      await pause(100);
    }
    // Answered clearly or accepted; whatever was accepted is done later.
    expect(new Set(statuses.filter((status) => status !== 200))).toEqual(new Set([503]));
    rmSync(ballast);
    const seen = await running;
    checkStream(seen.events);
    expect(seen.events.at(-1)?.data).toBeNull();
    expect(seen.events.findLast(({ event }) => event === "values")?.data.log).toEqual(steps(120));
    await settled(fleet, { within: 90_000 });
    const full = fleet.postgres.logs().includes("No space left on device");
    expect(full, "the disk was full").toBe(true);
    return `creates on the full disk: ${statuses.join(" ")}`;
  } finally {
    spawnSync("umount", ["-l", folder]);
    rmdirSync(folder);
  }
}

export const SURROUNDINGS: Scenario[] = [
  {
    name: "T-REDISFLUSH",
    proves: "I22: Valkey is flushed, restarted, stopped and frozen; no run fails, streams go on",
    slow: true,
    missing: redisAvailable(),
    run: redis,
  },
  {
    name: "T-PGBOUNCER",
    proves: "I1, I3, I5, I7: the same behind PgBouncer in transaction mode",
    slow: true,
    missing: pgBouncerAvailable(),
    run: pgbouncer,
  },
  {
    name: "T-SKEW",
    proves: "I19: clocks that are an hour ahead and an hour behind change nothing",
    missing: canSkew(),
    run: skew,
  },
  {
    name: "T-DISKFULL",
    proves: "I1: a database whose disk is full refuses or waits, and goes on when there is room",
    slow: true,
    missing: canMount(),
    run: diskFull,
  },
];
