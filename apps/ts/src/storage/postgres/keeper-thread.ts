/**
 * The thread that beats for a worker (see keeper.ts). Apart from the event loop of the server, so that user code which
 * blocks it does not cost the lease; with a connection of its own, so that a busy pool does not either.
 */
import { setTimeout as delay } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import type { Client } from "pg";
import type { WorkerInfo } from "#core/runs/workers";
import { connectionOptions } from "./connection-options.ts";
import { codeOf } from "./failures.ts";
import { connectTo, Hosts } from "./hosts.ts";
import { Identity } from "./identity.ts";
import type { FromKeeper, KeeperData } from "./keeper.ts";
import { LEASE } from "./workers.ts";

const data = workerData as KeeperData;
const port = parentPort as NonNullable<typeof parentPort>;
const say = (message: FromKeeper) => port.postMessage(message);

const everyMs = data.ttlMs / 5;
/** Monotonic time until which the lease is certain: from when the last good beat was sent. */
let goodUntil = 0;
const hosts = new Hosts(data.url);
const identity = new Identity({ readWrite: hosts.readWrite });
let client: Client | undefined;
let ending = false;

port.on("message", () => {
  ending = true;
});

function parameters(worker: WorkerInfo): unknown[] {
  return [worker.worker_id, worker.instance, worker.role, worker.version, worker.capacity, data.ttlMs];
}

/** One statement, on a connection that is made anew when it is gone; given up when it takes too long to be of use. */
async function ask(text: string, values: unknown[]): Promise<Record<string, unknown>[]> {
  const patience = everyMs * 1.5;
  client ??= await connectTo(hosts, identity, {
    ...connectionOptions(data.settings),
    connectionTimeoutMillis: patience / hosts.count,
    query_timeout: patience,
  });
  // A pooler may have gone to another server behind the same connection.
  if (!identity.isDirect(client)) await identity.check(client);
  return (await client.query(text, values)).rows;
}

async function hangUp(): Promise<void> {
  const old = client;
  client = undefined;
  // A socket that does not answer must not hold up the next attempt.
  if (old !== undefined) await Promise.race([old.end().catch(() => undefined), delay(500)]);
}

async function register(): Promise<boolean> {
  const sentAt = performance.now();
  try {
    await ask(LEASE.register, parameters(data.worker));
  } catch (error) {
    await hangUp();
    say({ kind: "failed", message: (error as Error).message, code: codeOf(error) });
    return false;
  }
  goodUntil = sentAt + data.ttlMs;
  say({ kind: "registered" });
  return true;
}

/** Whether the lease goes on. */
async function beat(): Promise<boolean> {
  const sentAt = performance.now();
  try {
    const [row] = await ask(LEASE.beat, [data.worker.worker_id, data.ttlMs]);
    // What this worker holds is of another past, whether or not the database knows the worker.
    if (row === undefined || identity.number > 0) return false;
    goodUntil = sentAt + data.ttlMs;
    say({ kind: "beat", beat: { cancels: row.cancels as never, processes: row.processes as number } });
  } catch (error) {
    await hangUp();
    say({ kind: "trouble", message: (error as Error).message });
  }
  // Another process may begin with our runs from now on.
  return performance.now() < goodUntil;
}

async function main(): Promise<void> {
  if (!(await register())) return;
  let lost = false;
  for (let next = performance.now() + everyMs; !ending && !lost; next = Math.max(next + everyMs, performance.now())) {
    // Short pauses: the end is noticed soon, and so is a lease that runs out between two beats.
    while (!ending && performance.now() < Math.min(next, goodUntil)) await delay(Math.min(50, everyMs / 4));
    if (!ending) lost = performance.now() >= goodUntil || !(await beat());
  }
  if (lost) say({ kind: "lost" });
  else await ask(LEASE.leave, [data.worker.worker_id]).catch(() => undefined);
  await hangUp();
}

await main();
port.close();
