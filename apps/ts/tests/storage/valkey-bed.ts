import { expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@fractal-agents/infra/logger";
import { Redis } from "ioredis";
import type { Fence } from "#core/runs/fence";
import type { EventRow, RunRecord } from "#core/runs/repository";
import type { Storage } from "#core/storage";
import { START } from "#core/streams/events";
import { openSqliteStorage } from "#storage/sqlite/open";
import { openValkey, type Valkey } from "#storage/valkey/open";
import { ALICE, enlist, event, fenceOf, newRun, WORKER } from "../contract/harness.ts";
import { RedisServer } from "../servers/redis.ts";

export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
}

export const streamOf = (run: RunRecord): string => `fractal:ev:{${run.run_id}}`;

/** Events of an attempt from position n on; one, unless data are given. */
export function says(fence: Fence, n: number, ...data: string[]): EventRow[] {
  const said = data.length === 0 ? ["1"] : data;
  return said.map((text, i) => event(fence.epoch, n + i, { run_id: fence.runId, data: text }));
}

export async function say(to: Storage, fence: Fence, rows: EventRow[]): Promise<string> {
  return String((await to.checkpoints.commit([{ kind: "events", fence, rows }]))[0]);
}

/** Two processes on one database and one Valkey: one executes runs, the other has the readers. */
export class Bed implements AsyncDisposable {
  readonly server: RedisServer;
  /** Without Valkey. */
  readonly database: Storage;
  readonly executor: Storage;
  readonly reader: Storage;
  /** A client of the test's own. */
  readonly raw: Redis;
  /** Runs that the reader's process asked the database about. */
  asked: string[] = [];
  /** What the executor's commits wait for. */
  storing: Promise<void> = Promise.resolve();
  readonly #valkeys: [Valkey, Valkey];
  readonly #dir: string;
  readonly #lines: string[];

  private constructor(parts: {
    server: RedisServer;
    database: Storage;
    dir: string;
    valkeys: [Valkey, Valkey];
    lines: string[];
  }) {
    const { server, database, dir, valkeys } = parts;
    this.#lines = parts.lines;
    this.server = server;
    this.database = database;
    this.raw = new Redis(server.url);
    this.#valkeys = valkeys;
    this.#dir = dir;
    const { checkpoints, events } = database;
    this.executor = valkeys[0].wrap({
      ...database,
      checkpoints: {
        ...checkpoints,
        commit: async (batch) => {
          await this.storing;
          return checkpoints.commit(batch);
        },
      },
    });
    this.reader = valkeys[1].wrap({
      ...database,
      events: {
        ...events,
        news: (runs, limit) => {
          this.asked.push(...runs.map((run) => run.run_id));
          return events.news(runs, limit);
        },
      },
    });
  }

  static async open(): Promise<Bed> {
    const lines: string[] = [];
    const logger = createLogger({ level: "info", json: true, write: (line) => lines.push(line) });
    const dir = mkdtempSync(join(tmpdir(), "fractal-"));
    const server = await RedisServer.start();
    const database = await openSqliteStorage({ dataDir: dir });
    await enlist({ storage: database }, WORKER.worker_id);
    const valkeys: [Valkey, Valkey] = [
      await openValkey(server.url, { logger }),
      await openValkey(server.url, { logger }),
    ];
    return new Bed({ server, database, dir, valkeys, lines });
  }

  /** What both have logged. */
  get logged(): string {
    return this.#lines.join("");
  }

  get connected(): boolean {
    return this.#valkeys.every((valkey) => valkey.signals.connected);
  }

  async start(changes: Parameters<typeof newRun>[1] = {}): Promise<RunRecord> {
    const created = await this.executor.runs.create(ALICE, newRun(crypto.randomUUID(), changes), WORKER);
    if (created.kind !== "created" || !created.claimed) throw new Error("the run did not start");
    return created.run;
  }

  /** The attempt ends without having said so, and the next one begins. */
  async again(run: RunRecord): Promise<RunRecord> {
    await this.database.runs.release(fenceOf(run));
    const next = await this.executor.runs.claimRun(WORKER, run.run_id);
    if (next === undefined) throw new Error("the run cannot be claimed");
    return next;
  }

  /** Says it, and waits until the stream holds it: what comes from another connection may arrive sooner. */
  async sayLive(run: RunRecord, rows: EventRow[]): Promise<void> {
    expect(await say(this.executor, fenceOf(run), rows)).toBe("written");
    const { epoch, n } = rows[rows.length - 1] as EventRow;
    const newest = () => this.raw.xrevrange(streamOf(run), "+", "-", "COUNT", 1);
    await until(async () => (await newest())[0]?.[0] === `${epoch}-${n + 1}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.raw.disconnect();
    for (const valkey of this.#valkeys) await valkey[Symbol.asyncDispose]();
    await this.database[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
    rmSync(this.#dir, { recursive: true });
  }
}

/** A reader that keeps its place, as those of live streams do. */
export class Follower {
  readonly rows: EventRow[] = [];
  over = false;
  readonly #reader: Storage;
  readonly #run: RunRecord;

  constructor({ reader }: Bed, run: RunRecord) {
    this.#reader = reader;
    this.#run = run;
  }

  get ids(): string[] {
    return this.rows.map(({ epoch, n }) => `${epoch - this.#run.epoch}-${n}`);
  }

  async look(limit = 100): Promise<{ more: boolean }> {
    const { thread_id, run_id } = this.#run;
    const after = this.rows[this.rows.length - 1] ?? START;
    const news = await this.#reader.events.news(
      [{ thread_id, run_id, after: { epoch: after.epoch, n: after.n } }],
      limit,
    );
    expect(news.map((one) => one.run_id)).toEqual([run_id]);
    for (const { rows, over } of news) {
      expect(rows.length).toBeLessThanOrEqual(limit);
      this.rows.push(...rows);
      this.over = over && !news[0]?.more;
    }
    return { more: news[0]?.more === true };
  }

  async toEnd(): Promise<void> {
    await until(async () => {
      await this.look(3);
      return this.over;
    });
  }
}
