import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Storage } from "../../apps/ts/src/core/storage.ts";
import { openPostgresStorage } from "../../apps/ts/src/storage/postgres/open.ts";
import { openSqliteStorage } from "../../apps/ts/src/storage/sqlite/open.ts";
import { OURS, OURS_POSTGRES } from "../servers/catalogue.ts";
import { PostgresCluster } from "../servers/postgres.ts";
import { claimTimes, cyclesPerSecond, emptyClaimTimes, enlist, fill } from "./cycles.ts";
import type { QueueFigures } from "./figures.ts";
import { measureRestart } from "./restart.ts";

const DEPTHS = [0, 10_000, 100_000];
const AT_ONCE = [1, 16];
/** As many connections as a server of ours has by default. */
const POOL = { min: 0, max: 10, timeoutMs: 10_000 };

type How = { quick: boolean; say(line: string): void };

const openPostgres = (url: string): Promise<Storage> => openPostgresStorage({ url, pool: POOL, prepare: true });

async function inStorage(storage: Storage, work: (storage: Storage) => Promise<void>): Promise<void> {
  try {
    await enlist(storage);
    await work(storage);
  } finally {
    await storage[Symbol.asyncDispose]();
  }
}

async function measureCycles(
  storage: Storage,
  name: string,
  { figures, how }: { figures: QueueFigures; how: How },
): Promise<void> {
  await inStorage(storage, async (open) => {
    await cyclesPerSecond(open, 16, how.quick ? 0.2 : 2);
    for (const at of AT_ONCE) {
      const perSecond = await cyclesPerSecond(open, at, how.quick ? 0.5 : 5);
      figures.cycles.push({ storage: name, at, perSecond });
      how.say(`  ${name}, ${at} at once: ${perSecond.toFixed(0)} cycles/s`);
    }
  });
}

async function measureClaims(
  cluster: PostgresCluster,
  { figures, how }: { figures: QueueFigures; how: How },
): Promise<void> {
  const url = await cluster.createDatabase("claims");
  const database = new URL(url).pathname.slice(1);
  await inStorage(await openPostgres(url), async (storage) => {
    const times = how.quick ? 20 : 300;
    let queued = 0;
    for (const depth of DEPTHS.map((each) => (how.quick ? each / 100 : each))) {
      await fill(cluster, database, depth - queued);
      queued = depth;
      await cluster.query("analyze", database);
      if (depth > 0) await claimTimes(storage, 20);
      const taken = await (depth === 0 ? emptyClaimTimes : claimTimes)(storage, times);
      if (depth > 0) queued -= times + 20;
      figures.claims.push({ depth, ...taken });
      how.say(`  claim with ${depth} waiting: p50 ${taken.p50.toFixed(2)} ms`);
    }
  });
}

/** The queue without graphs and HTTP, and what a crash costs. What fails is named, and the rest is measured. */
export async function measureQueue(how: How): Promise<QueueFigures> {
  const figures: QueueFigures = { cycles: [], claims: [], restarts: [], failures: [] };
  const softly = async (doing: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      figures.failures.push(`${doing}: ${(error as Error).message}`);
    }
  };
  how.say("Queue");
  await softly("the queue", async () => {
    await using cluster = await PostgresCluster.start();
    await softly("cycles on Postgres", async () =>
      measureCycles(await openPostgres(await cluster.createDatabase("cycles")), "Postgres", { figures, how }),
    );
    await softly("cycles on SQLite", async () => {
      const dataDir = mkdtempSync(join(tmpdir(), "bench-queue-"));
      try {
        await measureCycles(await openSqliteStorage({ dataDir }), "SQLite", { figures, how });
      } finally {
        rmSync(dataDir, { recursive: true, force: true });
      }
    });
    await softly("claims", () => measureClaims(cluster, { figures, how }));
    const restarts = [
      ["Postgres", OURS_POSTGRES],
      ["SQLite", OURS],
    ] as const;
    for (const [name, spec] of restarts) {
      await softly(`restart on ${name}`, async () => {
        const url = spec.database === true ? await cluster.createDatabase("restart") : "";
        const taken = await measureRestart(spec, url);
        figures.restarts.push({ storage: name, ...taken });
        how.say(`  ${name}: answers ${taken.answersMs.toFixed(0)} ms after kill -9`);
      });
    }
  });
  return figures;
}
