import { afterEach, describe, expect, it } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { lines } from "./lines.ts";

const probe = fileURLToPath(new URL("watchdog-probe.ts", import.meta.url));
const node = process.env.FRACTAL_TEST_NODE;
const engines: [string, string | undefined][] = [
  ["Bun", process.execPath],
  ["Node", node],
];
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

for (const [name, engine] of engines) {
  describe.skipIf(engine === undefined)(`the watchdog of the event loop on ${name}`, () => {
    function block(given: { stallMs: number; busyMs: number; limitMs?: number }) {
      const args = [probe, `${given.stallMs}`, `${given.busyMs}`, `${given.limitMs ?? 0}`];
      const child = spawn(engine ?? "", args, { stdio: ["ignore", "pipe", "pipe"] });
      children.push(child);
      return { child, exit: once(child, "exit"), out: lines(child.stdout), err: lines(child.stderr) };
    }

    it("ends a process whose event loop is blocked for too long, and says so", async () => {
      const { child, exit, out, err } = block({ stallMs: 1_500, busyMs: 60_000 });
      await out.until(/^busy/);
      expect(await exit).toEqual([null, "SIGKILL"]);
      const reason = await err.until(/blocked/);
      expect(reason).toMatch(/event loop has been blocked for (?:1\.[5-9]|[2-9](?:\.\d)?) s/);
      expect(reason).toContain(`Process ${child.pid} `);
      expect(reason).toContain("FRACTAL_MAIN_STALL_SECONDS (1.5)");
    }, 30_000);

    it("does not end a process that was frozen for longer than that", async () => {
      const stallMs = 3_000;
      const { child, out } = block({ stallMs, busyMs: 1_200 });
      await out.until(/^busy/);
      child.kill("SIGSTOP");
      // What is tested is that time passes.
      await delay(stallMs + 500);
      child.kill("SIGCONT");
      expect(await out.next()).toBe("free");
    }, 30_000);

    it("holds a process that stops to its time to stop", async () => {
      const { exit, out, err } = block({ stallMs: 60_000, busyMs: 60_000, limitMs: 700 });
      await out.until(/^busy/);
      expect(await exit).toEqual([null, "SIGKILL"]);
      expect(await err.until(/blocked/)).toContain("longer than a stop (0.7) allows");
    }, 30_000);

    it.skipIf(process.platform === "win32")(
      "ends a blocked process whose supervisor is gone",
      async () => {
        // The shell stays as the parent, and the process outlives it.
        const command = `"${engine}" "${probe}" 60000 60000 0 supervised & wait`;
        const shell = spawn("sh", ["-c", command], { stdio: ["ignore", "pipe", "pipe"] });
        children.push(shell);
        const [out, err] = [lines(shell.stdout), lines(shell.stderr)];
        const pid = Number((await out.until(/^busy/)).split(" ")[1]);
        shell.kill("SIGKILL");
        expect(await err.until(/blocked/)).toContain(`Process ${pid} ends itself`);
        // Standard output closes when its last holder is gone.
        await out.until(/^$/);
        expect(out.seen()).not.toContain("free");
      },
      30_000,
    );
  });
}
