import { describe, expect, it } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ANONYMOUS } from "#core/identity/scope";
import { openSqlite } from "#platform/sqlite";
import { sqliteCheckpoints } from "#storage/sqlite/checkpoints";
import { Connection } from "#storage/sqlite/connection";
import { migrate } from "#storage/sqlite/migrations";
import { sqliteRuns } from "#storage/sqlite/runs";
import { LiveWorkers } from "#storage/sqlite/workers";
import { checkpoint, fenceOf, json, newRun, put, WORKER, write, writes } from "../contract/harness.ts";

const FULL = { code: "unavailable", message: expect.stringContaining("full") };

describe("a full disk", () => {
  it("refuses new work with a plain error, keeps whole batches only, and goes on when there is room", async () => {
    const dir = mkdtempSync(join(tmpdir(), "fractal-"));
    const db = await openSqlite(join(dir, "fractal.db"));
    try {
      db.exec("pragma journal_mode = wal; pragma foreign_keys = on");
      migrate(db);
      const connection = new Connection(db, { clock: Date.now, lockedMs: 1_000 });
      const workers = new LiveWorkers();
      workers.register(WORKER.worker_id);
      const [runs, checkpoints] = [sqliteRuns(connection, workers), sqliteCheckpoints(connection)];
      const created = await runs.create(ANONYMOUS, newRun(crypto.randomUUID()));
      const runId = created.kind === "created" ? created.run.run_id : "";
      const run = await runs.claimRun(WORKER, runId);
      const fence = fenceOf(run as NonNullable<typeof run>);
      const batch = (n: number) => [
        put(fence, checkpoint(fence, `c${n}`, { blobs: { big: `${n}` } }), { big: json("x".repeat(10_000)) }),
        writes(fence, write(fence, `c${n}`, { value: json("y".repeat(3000)) })),
      ];
      const pages = db.prepare("pragma page_count").get<{ page_count: number }>()?.page_count ?? 0;
      db.exec(`pragma max_page_count = ${pages + 20}`);
      let stored = 0;
      await expect(
        (async () => {
          for (;;) {
            await checkpoints.commit(batch(stored + 1));
            stored++;
          }
        })(),
      ).rejects.toMatchObject(FULL);
      expect(stored).toBeGreaterThan(0);
      const waiting = (async () => {
        for (;;) await runs.create(ANONYMOUS, newRun(crypto.randomUUID(), { kwargs: { text: "z".repeat(9000) } }));
      })();
      await expect(waiting).rejects.toMatchObject(FULL);

      const place = { thread_id: fence.threadId, checkpoint_ns: "" };
      const kept = await checkpoints.list(ANONYMOUS, place);
      expect(kept.map((c) => [c.row.checkpoint_id, c.writes.length])).toEqual(
        Array.from({ length: stored }, (_, i) => [`c${stored - i}`, 1]),
      );
      db.exec("pragma max_page_count = 100000");
      expect(await checkpoints.commit(batch(stored + 1))).toEqual(["written", "written"]);
      expect(db.prepare("pragma quick_check").get()).toEqual({ quick_check: "ok" });
    } finally {
      db.close();
      rmSync(dir, { recursive: true });
    }
  });
});
