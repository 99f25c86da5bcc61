import { afterEach, beforeEach, describe, expect, it } from "bun:test";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { lines } from "./lines.ts";

const probe = fileURLToPath(new URL("supervisor-probe.mjs", import.meta.url));
let dir: string;
const running: ChildProcess[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "fractal-supervisor-"));
});

afterEach(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
  rmSync(dir, { recursive: true, force: true });
});

const engines: [string, string | undefined][] = [
  ["Bun", process.execPath],
  ["Node", "node"],
];

for (const [name, engine] of engines) {
  describe(`the supervisor on ${name}`, () => {
    function start(...plan: string[]) {
      return startWith({}, ...plan);
    }

    function startWith(env: Record<string, string>, ...plan: string[]) {
      const log = join(dir, `starts-${running.length}.log`);
      const child = spawn(engine ?? "", [probe, log, ...plan], {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, ...env },
      });
      running.push(child);
      const exit = once(child, "exit") as Promise<[number | null, string | null]>;
      const out = lines(child.stdout);
      return { child, exit, out, err: lines(child.stderr), starts: () => readFileSync(log, "utf8").trim().split("\n") };
    }

    for (const code of [64, 69, 78]) {
      it(`gives exit code ${code} of the first start on and does not start again`, async () => {
        const { exit, starts } = start(`exit:${code}`);
        expect(await exit).toEqual([code, null]);
        expect(starts()).toHaveLength(1);
      });
    }

    it("starts again after a crash, after a kill, and at once for a reload, with the port that was in use", async () => {
      const { child, exit, out, err, starts } = start("later:1", "serve", "later:75", "serve");
      await out.until(/^later:1/);
      const pid = Number((await out.until(/^serve/)).split(" ")[1]);
      process.kill(pid, "SIGKILL");
      await out.until(/^later:75/);
      await out.until(/^serve/);
      child.kill("SIGTERM");
      expect(await exit).toEqual([0, null]);
      expect(starts()).toEqual(["first ", "crash 4567", "crash 4567", "reload 4567"]);
      expect(err.seen()).toMatch(/ended unexpectedly \(exit code 1\).*\n.*ended unexpectedly \(SIGKILL\)/);
    });

    it("starts a server again that ends with exit code 0, which nobody asked for, ready or not", async () => {
      const { child, exit, out, err, starts } = start("exit:0", "later:0", "serve");
      await out.until(/^serve/);
      expect(starts()).toEqual(["first ", "crash ", "crash 4567"]);
      expect(err.seen().match(/ended unexpectedly \(exit code 0\); starting it again\.\n/g)).toHaveLength(2);
      child.kill("SIGTERM");
      expect(await exit).toEqual([0, null]);
    });

    it("starts a server again without a pause as often as it was at work, ready or not", async () => {
      const { child, exit, out, err, starts } = start(...Array(6).fill("work:1"), "serve");
      await out.until(/^serve/);
      expect(starts()).toHaveLength(7);
      expect(err.seen().match(/.*starting it again\.\n/g)).toHaveLength(6);
      child.kill("SIGTERM");
      expect(await exit).toEqual([0, null]);
    }, 30_000);

    it("never gives up once a server has been ready, whatever the next ones end with", async () => {
      const failing = ["exit:78", "exit:64", "exit:69", "killed"];
      const { child, exit, out, err, starts } = start("later:0", ...failing, "serve");
      await out.until(/^serve/);
      expect(starts()).toHaveLength(6);
      expect(err.seen()).toContain("The server cannot be started (exit code 78); starting it again.");
      expect(err.seen()).toContain("The server cannot be started (exit code 69); starting it again in 1 s.");
      child.kill("SIGTERM");
      expect(await exit).toEqual([0, null]);
    }, 30_000);

    it("gives up when nothing was ever ready, with the exit code if there is one", async () => {
      const failing = Array(12).fill("exit:3");
      const one = start(...failing);
      const killed = start(...Array(9).fill("killed"));
      expect(await one.exit).toEqual([3, null]);
      expect(one.starts()).toHaveLength(5);
      expect(one.err.seen()).toContain("5 times in a row before it was ready (exit code 3); giving up");
      expect(await killed.exit).toEqual([1, null]);
    }, 30_000);

    it("goes on with a server that has been ready between its crashes, and with one while others are ready", async () => {
      const crashing = start("later:1", "later:1", "later:1", "later:1", "exit:3", "serve");
      const beside = startWith({ PROBE_WORKERS: "2" }, "serve", ...Array(5).fill("exit:3"), "serve");
      const healthy = Number((await beside.out.until(/^serve/)).split(" ")[1]);
      await Promise.all([crashing.out.until(/^serve/), beside.out.until(/^serve/)]);
      expect(crashing.starts()).toHaveLength(6);
      expect(beside.starts()).toHaveLength(7);
      expect(beside.err.seen()).toContain("Worker 2 cannot be started, the others keep serving (exit code 3)");
      expect(() => process.kill(healthy, 0)).not.toThrow();
      for (const { child, exit } of [crashing, beside]) {
        child.kill("SIGTERM");
        expect(await exit).toEqual([0, null]);
      }
    }, 30_000);

    it("passes one signal on once, however often it arrives within a second", async () => {
      const { child, exit, out } = start("serve");
      await out.until(/^serve/);
      child.kill("SIGINT");
      child.kill("SIGINT");
      await out.until(/^SIGINT/);
      child.kill("SIGTERM");
      expect(await exit).toEqual([0, null]);
      expect(out.seen().match(/SIGINT/g)).toHaveLength(1);
    });

    it("kills a server that cannot even see a second signal, and ends by the same signal", async () => {
      const { child, exit, out } = start("deaf");
      await out.until(/^deaf/);
      child.kill("SIGTERM");
      child.kill("SIGINT");
      expect(await exit).toEqual([null, "SIGKILL"]);
    });

    it("kills a server that does not see the first signal either, when its time to stop is over, and says so", async () => {
      const { child, exit, out, err } = start("deaf-soon");
      await out.until(/^deaf/);
      child.kill("SIGTERM");
      expect(await exit).toEqual([null, "SIGKILL"]);
      expect(err.seen()).toContain("has not stopped in time");
    }, 30_000);

    it("keeps trying what is only out of reach, once a server has been ready", async () => {
      const { child, exit, out, starts } = start("later:1", "exit:69", "serve");
      await out.until(/^serve/);
      child.kill("SIGTERM");
      expect(await exit).toEqual([0, null]);
      expect(starts()).toEqual(["first ", "crash 4567", "crash 4567"]);
    });

    it("starts the other workers when the first is ready, and any of them again, on the same port", async () => {
      const { child, exit, out, err, starts } = startWith({ PROBE_WORKERS: "3" });
      const pids: number[] = [];
      while (pids.length < 3) pids.push(Number((await out.until(/^serve/)).split(" ")[1]));
      expect(starts()[0]).toBe("first ");
      expect(starts().slice(1).sort()).toEqual(["first 4567 2/3", "first 4567 3/3"]);
      const [first = 0, second = 0, third = 0] = pids;
      process.kill(second, "SIGKILL");
      const again = Number((await out.until(/^serve/)).split(" ")[1]);
      // Stopped by hand: it is missing as well.
      process.kill(first, "SIGTERM");
      const last = Number((await out.until(/^serve/)).split(" ")[1]);
      expect(starts().slice(3)[0]).toMatch(/^crash 4567 [23]\/3$/);
      expect(starts().slice(4)).toEqual(["crash 4567 1/3"]);
      expect(err.seen()).toMatch(
        /Worker [23] ended unexpectedly \(SIGKILL\).*\nWorker 1 ended unexpectedly \(exit code 0\)/,
      );
      child.kill("SIGTERM");
      expect(await exit).toEqual([0, null]);
      for (const pid of [third, again, last]) expect(() => process.kill(pid, 0)).toThrow();
    });

    it("tries workers again that cannot use the configuration once one has been ready", async () => {
      const plan = ["serve", "exit:78", "serve", "exit:78"];
      const { child, exit, out, err, starts } = startWith({ PROBE_WORKERS: "2" }, ...plan);
      const first = Number((await out.until(/^serve/)).split(" ")[1]);
      const second = Number((await out.until(/^serve/)).split(" ")[1]);
      expect(err.seen()).toContain("Worker 2 cannot be started, the others keep serving (exit code 78)");
      for (const pid of [first, second]) process.kill(pid, "SIGKILL");
      for (let again = 0; again < 2; again++) await out.until(/^serve/);
      expect(starts().slice(0, 3)).toEqual(["first ", "first 4567 2/2", "crash 4567 2/2"]);
      child.kill("SIGTERM");
      expect(await exit).toEqual([0, null]);
    });

    it("goes on with the others while there is nothing to start a worker with", async () => {
      const command = join(dir, "engine");
      const path = engine === "node" ? execFileSync("which", ["node"]).toString().trim() : process.execPath;
      symlinkSync(path, command);
      const { child, exit, out, err, starts } = startWith({ PROBE_WORKERS: "2", PROBE_COMMAND: command });
      const healthy = Number((await out.until(/^serve/)).split(" ")[1]);
      const other = Number((await out.until(/^serve/)).split(" ")[1]);
      rmSync(command);
      process.kill(other, "SIGKILL");
      await err.until(/Worker 2 ended unexpectedly \(exit code 1\)/);
      symlinkSync(path, command);
      await out.until(/^serve/);
      expect(() => process.kill(healthy, 0)).not.toThrow();
      child.kill("SIGTERM");
      expect(await exit).toEqual([0, null]);
      expect(starts()).toEqual(["first ", "first 4567 2/2", "crash 4567 2/2"]);
    });

    it("leaves no orphan when it is killed itself", async () => {
      const { child, exit, out, starts } = start("serve");
      await out.until(/^serve/);
      child.kill("SIGKILL");
      await exit;
      // Standard output closes when its last holder, the server, is gone.
      await out.until(/^$/);
      expect(starts()).toContain("orphaned");
    });
  });
}
