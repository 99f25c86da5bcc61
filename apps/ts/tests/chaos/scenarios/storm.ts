import { expect } from "bun:test";
import { RedisServer, redisAvailable } from "../../servers/redis.ts";
import { checkDelivered, checkSteps, checkStream, settled } from "../check.ts";
import { replay } from "../client.ts";
import { Fleet } from "../fleet.ts";
import { Load, streams } from "../load.ts";
import { type Effort, generator, pause, type Scenario, steps } from "../scenario.ts";

/** Everything at once: whatever can happen to an instance, to the database and to Valkey, under load. */
async function storm(effort: Effort): Promise<string> {
  const random = generator(effort.seed);
  await using valkey = redisAvailable() === undefined ? await RedisServer.start() : undefined;
  await using fleet = await Fleet.start({
    instances: 3,
    ownPostgres: true,
    env: {
      FRACTAL_CANCEL_GRACE_SECONDS: "1",
      FRACTAL_MAX_ATTEMPTS: "100",
      ...(valkey !== undefined && { REDIS_URI: valkey.url }),
    },
  });
  const load = new Load(fleet, random);
  await load.start(6);
  const n = effort.n(80, 400);
  const followed = streams(fleet, 4, { steps: n, ms: 100 });
  const one = () => fleet.at(Math.floor(random() * fleet.instances.length));
  const disturbances: [string, () => Promise<void>][] = [
    ["kill", async () => again(one())],
    [
      "stop",
      async () => {
        const instance = one();
        if (instance.running) expect(await instance.stop(), "exit code of a clean stop").toBe(0);
        await again(instance);
      },
    ],
    [
      "freeze",
      async () => {
        const instance = one();
        instance.pause();
        await pause(1_000 + random() * 4_000);
        instance.resume();
      },
    ],
    ["restart of Postgres", () => fleet.postgres.restart(random() < 0.7 ? "immediate" : "fast")],
    [
      "freeze of Postgres",
      async () => {
        await fleet.postgres.pause();
        await pause(500 + random() * 4_000);
        await fleet.postgres.resume();
      },
    ],
    ["flush of Valkey", async () => void (await valkey?.flushall())],
    ["restart of Valkey", async () => void (await valkey?.restart())],
    [
      "cut of the hints",
      async () => {
        const text =
          "select pg_terminate_backend(pid) from pg_stat_activity where query ~* '^(listen|select pg_notify)' and pid <> pg_backend_pid()";
        await fleet.query(text);
      },
    ],
  ];
  const happened = new Map<string, number>();
  for (let i = 0; i < effort.n(8, 150); i++) {
    await pause(200 + random() * 1_000);
    const [what, happen] =
      disturbances[effort.long ? Math.floor(random() * disturbances.length) : i] ??
      (disturbances[0] as (typeof disturbances)[0]);
    fleet.history.note("chaos", what);
    happened.set(what, (happened.get(what) ?? 0) + 1);
    await happen();
    if (i % 5 === 4) await load.renew();
  }
  await load.stop();
  for (const seen of await followed) {
    checkStream(seen.events);
    checkDelivered(seen.events, await replay(fleet.at(0), seen));
    expect(seen.events.findLast(({ event }) => event === "values")?.data.log).toEqual(steps(n));
    checkSteps(fleet.judge.of(seen.runId), n, "loosely");
  }
  await settled(fleet, { accepted: load.accepted, rolledBack: load.rolledBack, within: 120_000 });
  await load.checkStates();
  return `${load.accepted.length} runs accepted; ${[...happened].map(([what, times]) => `${times} x ${what}`).join(", ")}`;
}

/** Ends an instance, however it stands, and starts it again; its database may be away at this moment. */
async function again(instance: { kill(): Promise<void>; start(): Promise<void> }): Promise<void> {
  await instance.kill();
  await instance.start();
}

export const STORM: Scenario[] = [
  {
    name: "T-STORM",
    proves: "I1, I2, I3, I5, I7, I21, I22: instances, database and Valkey are disturbed in turn under load",
    slow: true,
    run: storm,
  },
];
