import { ANONYMOUS } from "#core/identity/scope";
import { openSqliteStorage } from "#storage/sqlite/open";
import { checkpoint, enlist, fenceOf, json, newRun, put, WORKER, write, writes } from "../../contract/harness.ts";

/**
 * Creates runs and commits batches until killed; every line printed acknowledges what it names. A batch is three writes
 * that must be there together or not at all.
 */
const storage = await openSqliteStorage({ dataDir: process.argv[2] as string });
await enlist({ storage }, WORKER.worker_id);
for (;;) {
  const created = await storage.runs.create(ANONYMOUS, newRun(crypto.randomUUID()));
  if (created.kind !== "created") throw new Error(created.kind);
  process.stdout.write(`run ${created.run.run_id}\n`);
  const run = await storage.runs.claimRun(WORKER, created.run.run_id);
  if (run === undefined) throw new Error("not claimed");
  const fence = fenceOf(run);
  for (let n = 1; n <= 5; n++) {
    const row = checkpoint(fence, `c${n}`, { inline: { n: json(n) }, blobs: { big: `${n}` } });
    await storage.checkpoints.commit([
      put(fence, row, { big: json("x".repeat(2000)) }),
      writes(fence, write(fence, `c${n}`)),
      {
        kind: "events",
        fence,
        rows: [{ epoch: fence.epoch, n, run_id: fence.runId, ns: "", mode: "values", at: 1, data: "1" }],
      },
    ]);
    process.stdout.write(`batch ${fence.threadId} ${n}\n`);
  }
}
