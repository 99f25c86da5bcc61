import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RuntimeError } from "#core/errors";
import { ANONYMOUS } from "#core/identity/scope";
import type { Storage } from "#core/storage";
import { openTestStorage } from "../servers/storage.ts";
import { RunServer } from "./server.ts";

const entry = (steps: number) => ({ assistant_id: "counter", input: { steps }, on_completion: "keep" });
const three = [entry(1), entry(2), entry(3)];
const ids = (reply: { body: { run_id: string }[] }) => reply.body.map(({ run_id }) => run_id);

describe("a batch of runs that is sent again with its Idempotency-Key", () => {
  let server: RunServer;
  let storage: Storage;
  let folder: string;
  /** Runs that are stored before the database goes away; it is back for the call after that. */
  let storedBeforeOutage = Number.POSITIVE_INFINITY;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fractal-batch-"));
    storage = await openTestStorage(folder);
    const { runs } = storage;
    const create: typeof runs.create = async (...asked) => {
      if (storedBeforeOutage-- === 0) throw new RuntimeError("unavailable", "The connection was lost");
      return runs.create(...asked);
    };
    server = await RunServer.start({}, undefined, { storage: { ...storage, runs: { ...runs, create } } });
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await storage[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  const send = (key: string, body: unknown, path = "/runs/batch") =>
    server.call("POST", path, { body, headers: { "Idempotency-Key": key } });
  const threads = async () => (await server.storage.threads.count(ANONYMOUS, {})) as number;
  /** Every run that ends leaves a thread, so none may be under way when they are counted. */
  const settled = async (runs: { thread_id: string; run_id: string }[]) => {
    for (const run of runs) await server.reached(run, "success");
    return threads();
  };

  it("gives the same runs in the same order, and executes none twice", async () => {
    const first = await send("batch-1", three);
    expect(first.status).toBe(200);
    const made = await settled(first.body);
    const again = await send("batch-1", three);
    expect([again.status, ids(again)]).toEqual([200, ids(first)]);
    expect(await settled(again.body)).toBe(made);
  });

  it("gives the same runs to all who send it at once", async () => {
    const replies = await Promise.all(Array.from({ length: 4 }, () => send("batch-2", three)));
    expect(new Set(replies.map((reply) => ids(reply).join())).size).toBe(1);
    expect(new Set(ids(replies[0] as (typeof replies)[0])).size).toBe(3);
    await settled(replies[0]?.body);
  });

  it("gets the runs that an outage left out, and each run once", async () => {
    const before = await threads();
    storedBeforeOutage = 2;
    expect((await send("batch-3", three)).status).toBe(503);
    const { status, body } = await send("batch-3", three);
    expect(status).toBe(200);
    expect(body.map((run: { kwargs: { input: unknown } }) => run.kwargs.input)).toEqual(
      three.map(({ input }) => input),
    );
    expect(await settled(body)).toBe(before + 3);
  });

  it("is refused when it asks for anything else, and makes no run", async () => {
    const first = await send("batch-4", three);
    const made = await settled(first.body);
    const refused = async (path: string, body: unknown, why: string) => {
      const reply = await send("batch-4", body, path);
      const detail = `Idempotency-Key: was used for a run ${why}; no run was made`;
      expect([reply.status, reply.body]).toEqual([422, { detail }]);
    };
    await refused("/runs/batch", [...three, entry(4)], "of another batch");
    await refused("/runs/batch", three.slice(0, 2), "of another batch");
    await refused("/runs/batch", [entry(1), entry(3), entry(2)], "of another batch");
    await refused("/runs", three[0], "of a batch");
    const single = await send("batch-5", three[0], "/runs");
    expect(single.status).toBe(200);
    const reply = await send("batch-5", three);
    expect([reply.status, reply.body.detail]).toEqual([
      422,
      "Idempotency-Key: was used for a run outside a batch; no run was made",
    ]);
    expect(await settled([single.body])).toBe(made + 1);
  });

  it("is refused after an outage too, when what the outage left out has changed", async () => {
    storedBeforeOutage = 1;
    expect((await send("batch-6", three)).status).toBe(503);
    expect((await send("batch-6", [entry(1), entry(2), entry(9)])).status).toBe(422);
  });

  it("is a new batch without a key", async () => {
    const [first, second] = [await send("", three), await send("", three)];
    expect(new Set([...ids(first), ...ids(second)]).size).toBe(6);
  });
});
