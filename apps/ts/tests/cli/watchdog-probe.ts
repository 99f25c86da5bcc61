// A process with the watchdog that blocks its event loop in pieces of 10 ms, each by the clock: one in which the process is
// frozen is over when it goes on. Arguments: stall limit in ms, ms to block, limit from then on in ms (0: the same),
// "supervised". Runs under Bun and under Node.
import { Watchdog } from "../../src/platform/watchdog.ts";

const [stallMs = "", busyMs = "", limitMs = "", supervised] = process.argv.slice(2);
const watchdog = new Watchdog({ stallMs: Number(stallMs), supervised: supervised === "supervised" });
if (Number(limitMs) > 0) watchdog.limit(Number(limitMs));
setInterval(() => undefined, 1_000);
// The thread has to be there first.
await new Promise((resolve) => setTimeout(resolve, 500));
process.stdout.write(`busy ${process.pid}\n`);
for (let piece = 0; piece < Number(busyMs) / 10; piece++) {
  const until = performance.now() + 10;
  while (performance.now() < until);
}
process.stdout.write("free\n");
await watchdog.close();
