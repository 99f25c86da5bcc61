import { afterEach, describe, expect, it } from "bun:test";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { lines } from "./lines.ts";

const probe = fileURLToPath(new URL("serve-probe.ts", import.meta.url));
const node = process.env.FRACTAL_TEST_NODE;
const engines: [string, string | undefined][] = [
  ["Bun", process.execPath],
  ["Node", node],
];
const children: ChildProcessWithoutNullStreams[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

for (const [name, engine] of engines) {
  describe.skipIf(engine === undefined)(`serve on ${name}`, () => {
    function start(...args: string[]) {
      return startWith({}, ...args);
    }

    async function startWith(env: Record<string, string>, ...args: string[]) {
      const child = spawn(engine ?? "", [probe, ...args], { env: { ...process.env, ...env } });
      children.push(child);
      const out = lines(child.stdout);
      const [port = "", url = ""] = (await out.next()).split(" ");
      return { child, out, port: Number(port), url };
    }

    it("takes a free port and says which", async () => {
      const { url, port } = await start("0");
      expect(url).toBe(`http://127.0.0.1:${port}`);
      expect(await (await fetch(url, { method: "POST", body: "x".repeat(300_000) })).text()).toBe("ok 300000");
    });

    it("stops listening at once and lets the stream under way end", async () => {
      const { child, out, url } = await start("0");
      const stream = await fetch(`${url}/stream`);
      child.kill("SIGTERM");
      expect(await out.next()).toBe("refusing");
      await expect(fetch(`${url}/other`, { keepalive: false })).rejects.toThrow();
      child.kill("SIGUSR2");
      expect(await stream.text()).toBe("first last");
      expect(await out.next()).toBe("closed");
      expect(await once(child, "exit")).toEqual([0, null]);
    });

    it("cuts what is left at the deadline", async () => {
      const { child, out, url } = await start("0", "50");
      const stream = await fetch(`${url}/stream`);
      const reading = stream.text().catch(() => "cut");
      child.kill("SIGTERM");
      expect(await out.next()).toBe("refusing");
      expect(await out.next()).toBe("closed");
      expect(["cut", "first "]).toContain(await reading);
    });

    it("never shows the source of an error", async () => {
      const { url } = await start("0");
      const answer = await fetch(`${url}/throw`);
      expect(answer.status).toBe(500);
      expect(await answer.text()).not.toContain("secret text");
    });

    it.skipIf(process.platform !== "linux")(
      "shares its port with those that join, until it stops listening",
      async () => {
        const first = await startWith({ PROBE_SHARE: "first" }, "0");
        const second = await startWith({ PROBE_SHARE: "join" }, String(first.port));
        expect(second.port).toBe(first.port);
        // Which of them gets a connection is a hash of its addresses: of a thousand all at one is out of the question.
        const answered = new Set<string>();
        for (let i = 0; i < 1_000 && answered.size < 2; i++) {
          answered.add(await (await fetch(`${first.url}/pid`, { keepalive: false })).text());
        }
        expect([...answered].map(Number).sort()).toEqual([first.child.pid ?? 0, second.child.pid ?? 0].sort());
        first.child.kill("SIGTERM");
        await once(first.child, "exit");
        for (let i = 0; i < 20; i++) {
          const pid = await (await fetch(`${first.url}/pid`, { keepalive: false })).text();
          expect(Number(pid)).toBe(second.child.pid ?? 0);
        }
      },
    );

    it.skipIf(process.platform !== "linux")("does not share a port that others have", async () => {
      const { port } = await startWith({ PROBE_SHARE: "first" }, "0");
      const child = spawn(engine ?? "", [probe, String(port)], { env: { ...process.env, PROBE_SHARE: "first" } });
      children.push(child);
      expect(await lines(child.stderr).next()).toStartWith(`Port ${port} on 127.0.0.1 is in use.`);
      expect(await once(child, "exit")).toEqual([69, null]);
    });

    it("names the port that is in use", async () => {
      const other = createServer().listen(0, "127.0.0.1");
      await once(other, "listening");
      const address = other.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      const child = spawn(engine ?? "", [probe, String(port)]);
      children.push(child);
      expect(await lines(child.stderr).next()).toStartWith(`Port ${port} on 127.0.0.1 is in use.`);
      expect(await once(child, "exit")).toEqual([69, null]);
      other.close();
    });
  });
}
