/** The thread that watches the event loop of the main thread (see watchdog.ts). */
import { writeSync } from "node:fs";
import { workerData } from "node:worker_threads";
import { CELLS, type WatchdogData } from "./watchdog.ts";

const { cells, stallMs, parent } = workerData as WatchdogData;
const shared = new Int32Array(cells);
const LOOK_MS = 250;
/** One look can be late because this thread was kept waiting; more than that is not held against the main thread. */
const MOST_PER_LOOK_MS = 2 * LOOK_MS;
/** Nobody stops a blocked process whose supervisor is gone, and it would keep its data directory from the next one. */
const ORPHAN_MS = 2_000;
const STDERR = 2;
let lastPulse = Atomics.load(shared, CELLS.pulse);
let lookedAt = performance.now();
/** How long this thread has seen the main thread stand still. */
let stillMs = 0;

/** Time in which this thread stood still as well is not counted: then the process was frozen, or the machine, and not blocked. */
function look(): void {
  const now = performance.now();
  const passedMs = now - lookedAt;
  lookedAt = now;
  const pulse = Atomics.load(shared, CELLS.pulse);
  if (pulse !== lastPulse) {
    lastPulse = pulse;
    stillMs = 0;
    return;
  }
  stillMs += Math.min(passedMs, MOST_PER_LOOK_MS);
  const limitMs = Atomics.load(shared, CELLS.limitMs);
  if (stillMs > limitMs) {
    const limit = limitMs < stallMs ? "a stop" : "FRACTAL_MAIN_STALL_SECONDS";
    giveUp(`longer than ${limit} (${seconds(limitMs)}) allows`);
  } else if (stillMs > ORPHAN_MS && parent !== undefined && process.ppid !== parent) {
    giveUp("and its supervisor is gone");
  }
}

/** Not through process.stderr: in a thread that only hands the text to the main thread, which does not come round. */
function giveUp(why: string): void {
  try {
    writeSync(
      STDERR,
      `Process ${process.pid} ends itself: its event loop has been blocked for ${seconds(stillMs)} s, ${why}. ` +
        "Its runs continue in another process, or after a restart. " +
        "Code of a graph that computes for long must await in between or use a thread; or raise the setting.\n",
    );
  } finally {
    process.kill(process.pid, "SIGKILL");
  }
}

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}

setInterval(look, LOOK_MS);
