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
      const log = join(dir, "starts.log");
      const child = spawn(engine ?? "", [probe, log, ...plan], { stdio: ["ignore", "pipe", "pipe"] });
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
