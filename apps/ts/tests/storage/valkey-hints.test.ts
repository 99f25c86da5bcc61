import { describe, expect, it } from "bun:test";
import { type AddressInfo, createServer } from "node:net";
import { createLogger } from "@fractal-agents/infra/logger";
import { Redis } from "ioredis";
import { Hints } from "#core/runs/hints";
import type { Hint } from "#core/signals";
import { StorageError } from "#core/storage";
import { openPostgresStorage } from "#storage/postgres/open";
import { openValkey } from "#storage/valkey/open";
import { postgresAvailable, sharedPostgres } from "../servers/postgres.ts";
import { RedisServer, redisAvailable } from "../servers/redis.ts";

function journal() {
  const lines: { level: string; msg: string }[] = [];
  const logger = createLogger({ level: "info", json: true, write: (line) => lines.push(JSON.parse(line)) });
  return { logger, lines };
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function failure(opening: Promise<unknown>): Promise<StorageError> {
  const error = await opening.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StorageError);
  return error as StorageError;
}

/** By a client of the test's own. */
async function told(server: RedisServer, command: (redis: Redis) => Promise<unknown>): Promise<void> {
  const redis = new Redis(server.url);
  try {
    await command(redis);
  } finally {
    redis.disconnect();
  }
}

const hintOf = (run_id: string): Hint => ({ kind: "log", run_id });

describe.skipIf(redisAvailable() !== undefined)("hints over Valkey", () => {
  it("reach the other processes and not their own, as they were given", async () => {
    await using server = await RedisServer.start();
    const { logger } = journal();
    await using one = await openValkey(server.url, { logger });
    await using two = await openValkey(server.url, { logger });
    const [heardByOne, heardByTwo]: [Hint[], Hint[]] = [[], []];
    one.signals.subscribe((hint) => heardByOne.push(hint));
    two.signals.subscribe((hint) => heardByTwo.push(hint));
    const hints: Hint[] = [
      { kind: "wake" },
      { kind: "cancel", run_id: "r1", action: "interrupt" },
      { kind: "cancel", run_id: "r1", action: "rollback" },
      hintOf("r1"),
      hintOf("r2"),
    ];
    for (const hint of hints) one.signals.publish(hint);
    await until(() => heardByTwo.length >= hints.length);
    expect(heardByTwo).toEqual(hints);
    // Whatever one had to hear of itself came before this.
    two.signals.publish({ kind: "wake" });
    await until(() => heardByOne.length > 0);
    expect(heardByOne).toEqual([{ kind: "wake" }]);
  });

  it("travel together: a burst of a thousand is a few messages, each hint once", async () => {
    await using server = await RedisServer.start();
    const { logger } = journal();
    await using one = await openValkey(server.url, { logger });
    const ear = new Redis(server.url);
    try {
      const messages: { at: number; hints: Hint[] }[] = [];
      ear.on("message", (_channel, text) => messages.push({ at: performance.now(), ...JSON.parse(text) }));
      await ear.subscribe("fractal:hints:0");
      for (let i = 0; i < 1000; i++) {
        one.signals.publish({ kind: "wake" });
        one.signals.publish(hintOf(`r${i % 10}`));
      }
      await until(() => messages.length > 0);
      expect(messages.flatMap((message) => message.hints)).toHaveLength(11);
      expect(messages).toHaveLength(1);
    } finally {
      ear.disconnect();
    }
  });

  it("stop at a server of another database, and survive messages of strangers and listeners that fail", async () => {
    await using server = await RedisServer.start();
    const { logger, lines } = journal();
    await using here = await openValkey(server.url, { logger });
    await using peer = await openValkey(server.url, { logger });
    await using elsewhere = await openValkey(`${server.url}/1`, { logger });
    const heard: Hint[] = [];
    const stop = here.signals.subscribe(() => {
      throw new Error("a listener's own mistake");
    });
    here.signals.subscribe((hint) => heard.push(hint));
    for (const text of ["[", "null", '{"from":1}', '{"from":"x","hints":[null,{"kind":"log"},{"kind":"dance"}]}']) {
      await told(server, (redis) => redis.publish("fractal:hints:0", text));
    }
    elsewhere.signals.publish(hintOf("elsewhere"));
    peer.signals.publish(hintOf("here"));
    await until(() => heard.length > 0);
    expect(heard).toEqual([hintOf("here")]);
    expect(lines.map((line) => line.msg)).toEqual(["a hint could not be followed"]);
    stop();
    peer.signals.publish(hintOf("again"));
    await until(() => heard.length > 1);
    expect(lines).toHaveLength(1);
  });
});

const missing = redisAvailable() ?? (await postgresAvailable());

describe.skipIf(missing !== undefined)(`hints in a fleet that is not all on Valkey (${missing ?? "found"})`, () => {
  it("go by the database as well, until everybody is", async () => {
    await using server = await RedisServer.start();
    const { logger } = journal();
    const url = await (await sharedPostgres()).createDatabase();
    const open = () => openPostgresStorage({ url, pool: { min: 0, max: 2, timeoutMs: 10_000 }, prepare: true });
    await using plain = await open();
    await using one = await openValkey(server.url, { logger });
    await using executor = one.wrap(await open());
    const [byDatabase, byValkey]: [Hint[], Hint[]] = [[], []];
    plain.signals.subscribe((hint) => byDatabase.push(hint));
    const say = (id: string) => executor.signals.publish(hintOf(id));
    const reaches = (heard: Hint[], id: string) =>
      until(() => heard.some((hint) => hint.kind === "log" && hint.run_id === id));
    // As its beats say.
    new Hints(executor.signals, { shared: true, always: false }).processes = 2;
    say("unequal");
    await reaches(byDatabase, "unequal");
    await using two = await openValkey(server.url, { logger });
    two.signals.subscribe((hint) => byValkey.push(hint));
    for (const id of ["first", "second", "equal"]) {
      say(id);
      await reaches(byValkey, id);
    }
    new Hints(executor.signals, { shared: true, always: false }).processes = 3;
    say("unequal again");
    await reaches(byDatabase, "unequal again");
    expect(byDatabase).not.toContainEqual(hintOf("equal"));
  }, 60_000);
});

describe.skipIf(redisAvailable() !== undefined)("a Valkey server that goes away", () => {
  for (const fault of ["restarts", "stops answering without closing its sockets"] as const) {
    it(`${fault}: publishing goes on without an error, hints come again, one line for each turn`, async () => {
      await using server = await RedisServer.start();
      const [{ logger, lines }, other] = [journal(), journal()];
      await using one = await openValkey(server.url, { logger });
      await using two = await openValkey(server.url, other);
      expect(one.signals.connected).toBe(true);
      if (fault === "restarts") await server.stop();
      else await server.pause();
      await until(() => {
        one.signals.publish({ kind: "wake" });
        return !one.signals.connected && !two.signals.connected;
      });
      if (fault === "restarts") await server.start();
      else await server.resume();
      const heard: Hint[] = [];
      two.signals.subscribe((hint) => heard.push(hint));
      await until(() => {
        one.signals.publish(hintOf("after"));
        return heard.some((hint) => hint.kind === "log");
      });
      await until(() => lines.length > 1);
      expect(lines.map((line) => [line.level, line.msg])).toEqual([
        ["warn", "lost Valkey; runs and streams go on over the database, a little slower"],
        ["info", "Valkey is back"],
      ]);
    }, 30_000);
  }
});

describe.skipIf(redisAvailable() !== undefined)("an address that cannot be used", () => {
  it("is refused with a sentence that holds no password", async () => {
    await using server = await RedisServer.start({ requirepass: "right-password" });
    const { logger } = journal();
    const host = `127.0.0.1:${server.port}`;
    const closed = createServer().listen(0, "127.0.0.1");
    await until(() => closed.listening);
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const refusals: [string, RegExp][] = [
      ["localhost:6379", /not the address of a Valkey or Redis server/],
      ["http://u:hush-hush@localhost", /not the address of a Valkey or Redis server/],
      [`redis://:hush-hush@${host}/many`, /not the address of a Valkey or Redis server/],
      [`redis://:hush-hush%@${host}`, /% that is not followed/],
      [`redis://:hush-hush@127.0.0.1:${port}`, /nothing listens there/],
      [`redis://:hush-hush@${host}`, /refuses the user name or password/],
      [`redis://somebody:hush-hush@${host}/2`, /refuses the user name or password/],
      [`redis://${host}`, /refuses the user name or password/],
      [`redis://:right-password@${host}/99`, /no database of that number/],
    ];
    for (const [url, sentence] of refusals) {
      const { detail } = await failure(openValkey(url, { logger }));
      expect([url, detail]).toEqual([url, expect.stringMatching(sentence)]);
      expect(detail).not.toMatch(/hush-hush|right-password/);
    }
    await using valkey = await openValkey(`redis://:right-password@${host}/2`, { logger });
    expect(valkey.description).toBe(`${host}/2`);
  });

  it("is refused when the server takes no writes, or nothing behind the port answers", async () => {
    await using primary = await RedisServer.start();
    await using replica = await RedisServer.start();
    await told(replica, (redis) => redis.replicaof("127.0.0.1", primary.port));
    const { logger } = journal();
    expect((await failure(openValkey(replica.url, { logger }))).detail).toMatch(/is a replica/);
    const silent = createServer().listen(0, "127.0.0.1");
    await until(() => silent.listening);
    const { port } = silent.address() as AddressInfo;
    expect((await failure(openValkey(`redis://127.0.0.1:${port}`, { logger }))).detail).toMatch(/cannot be used/);
    silent.close();
  }, 20_000);
});
