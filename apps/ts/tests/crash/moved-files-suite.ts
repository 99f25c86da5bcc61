import { afterEach, beforeEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Fractal, fractal, stopAll } from "../cli/fractal.ts";
import { type EngineChoice, post } from "../cli/project.ts";
import { eventually } from "./server.ts";

setDefaultTimeout(60_000);

let dir: string;
let data: string;
let file: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "fractal-moved-"));
  data = join(dir, ".fractal");
  file = join(data, "fractal.db");
});

afterEach(async () => {
  await stopAll();
  rmSync(dir, { recursive: true, force: true });
});

async function probe(url: string, path: string) {
  const answer = await fetch(url + path);
  return { status: answer.status, body: (await answer.json()) as { detail?: string } };
}

async function thread(url: string): Promise<string> {
  const answer = await post(`${url}/threads`, {});
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { thread_id: string }).thread_id;
}

/** What happens to the files of the embedded database under a server that has them open. */
export function movedFilesSuite(name: string, engine: EngineChoice | undefined): void {
  describe.skipIf(engine === undefined)(`the files of a running server on ${name}`, () => {
    const start = (): Fractal =>
      fractal(["start", "-p", "0"], { cwd: dir, ...engine, env: { LOG_JSON: "true", ...engine?.env } });

    async function refusing(url: string, known: string): Promise<void> {
      const ready = await eventually(
        () => probe(url, "/ready"),
        ({ status }) => status === 503,
      );
      expect(ready.body.detail).toContain("was deleted, moved or replaced");
      for (const answer of [await probe(url, `/threads/${known}`), await probe(url, "/ok?check_db=true")]) {
        expect(answer.status).toBe(503);
      }
      const writes = [
        await post(`${url}/threads`, {}),
        await post(`${url}/runs/wait`, { assistant_id: "agent", input: {} }),
      ];
      for (const answer of writes) {
        expect(answer.status).toBe(503);
        expect(((await answer.json()) as { detail: string }).detail).toContain("nothing is read or written");
      }
      expect((await probe(url, "/live")).status).toBe(200);
    }

    it("are missed when the database is deleted or replaced, and what is there instead is not touched", async () => {
      const server = start();
      const url = await server.url();
      const known = await thread(url);
      cpSync(file, join(dir, "copy.db"));
      for (const suffix of ["", "-wal", "-shm"]) rmSync(`${file}${suffix}`);
      await refusing(url, known);
      const line = JSON.parse(await server.out.until(/refusing reads and writes/)) as Record<string, string>;
      expect(line).toMatchObject({ level: "error", path: file });
      expect(line.advice).toContain("Move the file back");
      cpSync(join(dir, "copy.db"), file);
      const before = readFileSync(file);
      await refusing(url, known);
      server.child.kill("SIGTERM");
      await server.exit;
      expect(readFileSync(file).equals(before)).toBe(true);
      expect(existsSync(`${file}-wal`)).toBe(false);
    });

    it("are used again when the directory that was moved away comes back", async () => {
      const server = start();
      const url = await server.url();
      const known = await thread(url);
      renameSync(data, join(dir, "elsewhere"));
      await refusing(url, known);
      // Another directory under the old name is not ours.
      mkdirSync(data);
      await refusing(url, known);
      rmSync(data, { recursive: true });
      renameSync(join(dir, "elsewhere"), data);
      await eventually(
        () => probe(url, "/ready"),
        ({ status }) => status === 200,
      );
      expect((await probe(url, `/threads/${known}`)).status).toBe(200);
      const next = await thread(url);
      server.child.kill("SIGTERM");
      expect(await server.exit).toEqual([0, null]);
      const again = await start().url();
      for (const id of [known, next]) expect((await probe(again, `/threads/${id}`)).status).toBe(200);
    });

    it("are made anew when those beside the database are deleted, and a kill -9 after that loses nothing", async () => {
      const server = start();
      const url = await server.url();
      const known = [await thread(url)];
      rmSync(`${file}-wal`);
      rmSync(`${file}-shm`);
      known.push(await thread(url));
      await server.out.until(/recreated without loss/);
      known.push(await thread(url));
      expect(existsSync(`${file}-wal`)).toBe(true);
      process.kill(Number(readFileSync(join(data, "lock.pid"), "utf8")), "SIGKILL");
      expect(await server.url()).toBe(url);
      for (const id of known) expect((await probe(url, `/threads/${id}`)).status).toBe(200);
    });

    it("let no second server in when those of the lock are deleted", async () => {
      const server = start();
      const url = await server.url();
      for (const files of [["lock.db"], ["lock.db", "lock.pid"]]) {
        for (const name of files) rmSync(join(data, name));
        const second = start();
        expect(await second.exit).toEqual([69, null]);
        expect(second.err.seen()).toMatch(/Another process \(pid \d+\) is using the data directory/);
        await server.out.until(/lock file was removed; lock retaken/);
      }
      await thread(url);
      server.child.kill("SIGTERM");
      expect(await server.exit).toEqual([0, null]);
      expect(existsSync(join(data, "lock.pid"))).toBe(false);
    });
  });
}
