import { newId } from "@fractal-agents/infra/ids";
import { openPostgresStorage } from "#storage/postgres/open";

/**
 * Keeps a lease, then keeps the main thread busy for so many pieces of 10 ms, each by the clock: one in which the
 * process is frozen is over when it goes on. Arguments: URL of the database, stall limit in ms, number of pieces.
 */
const [url = "", stallMs, pieces] = process.argv.slice(2);
const storage = await openPostgresStorage({
  url,
  pool: { min: 0, max: 2, timeoutMs: 10_000 },
  prepare: true,
  stallMs: Number(stallMs),
});
const worker = { worker_id: newId(), instance: "test", role: "all", version: "0.0.0", capacity: 1 } as const;
await storage.keeper.keep(worker, { beat: () => undefined, lost: () => undefined });
process.stdout.write("busy\n");
for (let piece = 0; piece < Number(pieces); piece++) {
  const until = performance.now() + 10;
  while (performance.now() < until);
}
process.stdout.write("free\n");
setInterval(() => undefined, 1_000);
