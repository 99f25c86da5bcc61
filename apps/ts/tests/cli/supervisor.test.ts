import { afterEach, beforeEach, describe, expect, it } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
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
      const log = join(dir, "starts.log");
      const child = spawn(engine ?? "", [probe, log, ...plan], {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, ...env },
      });
      running.push(child);
      const exit = once(child, "exit") as Promise<[number | null, string | null]>;
      const out = lines(child.stdout);
      return { child, exit, out, err: lines(child.stderr), starts: () => readFileSync(log, "utf8").trim().split("\n") };
    }

    for (const code of [0, 64, 69, 78]) {
      it(`gives exit code ${code} on and does not start again`, async () => {
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

    it("gives up a server that never gets ready, with its exit code", async () => {
      const { exit, err, starts } = start(...Array(9).fill("exit:3"));
      expect(await exit).toEqual([3, null]);
      expect(starts()).toHaveLength(5);
      expect(err.seen()).toContain("5 times in a row");
    }, 20_000);

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

    it("stops all workers, and ends as the one that cannot be started", async () => {
      const { exit, out, starts } = startWith({ PROBE_WORKERS: "2" }, "serve", "exit:78");
      expect(await exit).toEqual([78, null]);
      expect(starts()).toEqual(["first ", "first 4567 2/2"]);
      expect(out.seen()).toContain("SIGTERM");
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
