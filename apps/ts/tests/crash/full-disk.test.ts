import { afterEach, beforeEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fractal, stopAll } from "../cli/fractal.ts";
import { CrashServer, eventually } from "./server.ts";

setDefaultTimeout(60_000);

/** A small file system of its own, which only root may make: elsewhere these tests are skipped. */
function mount(dir: string): boolean {
  return spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m", "fractal-test", dir]).status === 0;
}

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "fractal-full-"));
  if (!mount(dir)) throw new Error("could not mount a tmpfs");
});

afterEach(async () => {
  await stopAll();
  spawnSync("umount", ["--lazy", dir]);
  rmSync(dir, { recursive: true, force: true });
});

const canMount = (() => {
  const trial = mkdtempSync(join(tmpdir(), "fractal-full-"));
  const done = mount(trial);
  if (done) spawnSync("umount", [trial]);
  rmSync(trial, { recursive: true, force: true });
  return done;
})();

/** Fills the file system to the last byte; the returned function makes room again. */
function fill(): () => void {
  const ballast = join(dir, "ballast");
  const file = openSync(ballast, "w");
  for (const size of [65_536, 4_096, 1]) {
    try {
      for (;;) writeSync(file, Buffer.alloc(size));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    }
  }
  closeSync(file);
  return () => rmSync(ballast);
}

describe.skipIf(!canMount)("a disk that becomes full while runs are under way (needs to mount a tmpfs)", () => {
  it("refuses new work in plain words and goes on with the old when there is room, using no finished step twice", async () => {
    await using server = new CrashServer("bun", { FRACTAL_DATA_DIR: join(dir, "data") });
    await server.start();
    const [running, other] = [await server.thread(), await server.thread()];
    const counting = { assistant_id: "counter", config: { recursion_limit: 100 }, stream_mode: "updates" };
    const big = { ...counting, input: { steps: 40, sleep_ms: 60 } };
    const stream = await server.stream(`/threads/${running}/runs/stream`, big);
    await stream.readUntil(({ events }) => events.filter(({ event }) => event === "updates").length >= 3);
    const delayed = await server.json(`/threads/${other}/runs`, { ...counting, input: { steps: 1 }, after_seconds: 1 });
    const makeRoom = fill();

    const refused = await eventually(
      () => server.post(`/threads/${other}/runs`, { ...big, metadata: { text: "x".repeat(100_000) } }),
      ({ status }) => status !== 200,
    );
    expect(refused.status).toBe(503);
    expect((await refused.json()).detail).toContain("full");
    const ready = await eventually(
      () => fetch(`${server.url}/ready`),
      ({ status }) => status === 503,
    );
    expect((await ready.json()).detail).toContain("full");
    // What is there can still be read, also past the time of the delayed run, which cannot be marked as due.
    const due = Date.parse(delayed.created_at) + 1_500;
    await eventually(
      async () => {
        expect((await server.json(`/threads/${running}`)).status).toBe("busy");
        expect(await server.json(`/threads/${other}/runs`)).toHaveLength(1);
        expect((await server.json("/ok")).ok).toBe(true);
        return Date.now();
      },
      (now) => now > due,
    );

    makeRoom();
    await eventually(
      () => fetch(`${server.url}/ready`),
      ({ status }) => status === 200,
    );
    const run = (await server.json(`/threads/${running}/runs`))[0];
    const values = await server.json(`/threads/${running}/runs/${run.run_id}/join`);
    expect(values.log).toEqual(Array.from({ length: 40 }, (_, i) => `step-${i + 1}`));
    expect((await server.json(`/threads/${running}`)).status).toBe("idle");
    const metadata = (await (await server.rejoin(running, run.run_id, "-1")).rest()).filter(
      ({ event }) => event === "metadata",
    );
    expect(metadata.map(({ data }) => data.attempt)).toEqual([1, 2]);
    const next = await server.json(`/threads/${other}/runs/wait`, { ...counting, input: { steps: 2 } });
    expect(next.log).toEqual(["step-1", "step-2"]);
    expect(await server.stop()).toBe(0);
  });

  it("keeps a server that dies meanwhile from starting, which the supervisor tries again until there is room", async () => {
    const data = join(dir, "data");
    const server = fractal(["start", "-p", "0"], { cwd: dir, env: { FRACTAL_DATA_DIR: data } });
    const url = await server.url();
    const makeRoom = fill();
    process.kill(Number(readFileSync(join(data, "lock.pid"), "utf8")), "SIGKILL");
    expect(await server.err.until(/cannot be started/)).toContain("(exit code 69); starting it again");
    expect(server.err.seen()).toContain("is full. Make room");
    makeRoom();
    expect(await server.url()).toBe(url);
    await eventually(
      () => fetch(`${url}/ready`),
      ({ status }) => status === 200,
    );
    server.child.kill("SIGTERM");
    expect(await server.exit).toEqual([0, null]);
  });
});
