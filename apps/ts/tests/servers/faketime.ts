import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";

const LIBRARY = "faketime/libfaketimeMT.so.1";

function preload(): Record<string, string> | undefined {
  const folders = ["x86_64-linux-gnu", "aarch64-linux-gnu", ""].map((name) => join("/usr/lib", name, LIBRARY));
  const library = folders.find((path) => existsSync(path));
  return library === undefined ? undefined : { LD_PRELOAD: library };
}

/** What sets the clock of a process apart ("+1h", "-0.05"); undefined where the library is missing. Its command would fork. */
export function clock(offset: string): Record<string, string> | undefined {
  const library = preload();
  return library && { ...library, FAKETIME: offset };
}

/** A clock that follows the offset in a file, as one that somebody sets while the process serves. Monotonic time does not. */
export function steppedClock(path: string): Record<string, string> | undefined {
  const library = preload();
  return (
    library && { ...library, FAKETIME_TIMESTAMP_FILE: path, FAKETIME_NO_CACHE: "1", FAKETIME_DONT_FAKE_MONOTONIC: "1" }
  );
}

/** A process that was killed, or leaves without its exit handlers, leaves the library's shared memory behind. */
export function forgetClock(pid: number): void {
  for (const name of [`faketime_shm_${pid}`, `sem.faketime_sem_${pid}`])
    rmSync(join("/dev/shm", name), { force: true });
}

/** Whether the clock of this very engine can be set for a process; why not. */
export function canSkew(): string | undefined {
  const env = clock("+1h");
  if (env === undefined) return "faketime is not installed";
  const told = spawnSync(process.execPath, ["-e", "console.log(Date.now())"], { encoding: "utf8", env });
  forgetClock(told.pid);
  return Math.abs(Number(told.stdout) - Date.now() - 3_600_000) < 60_000
    ? undefined
    : "faketime does not reach this engine";
}
