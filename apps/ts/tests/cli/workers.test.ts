import { afterAll, afterEach, beforeAll, describe, expect, it } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { postgresAvailable, sharedPostgres, type TestPostgres } from "../servers/postgres.ts";
import { fractal, stopAll } from "./fractal.ts";

let dir: string;
let server: TestPostgres;
const noPostgres = await postgresAvailable();

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "fractal-workers-"));
  if (noPostgres === undefined) server = await sharedPostgres();
}, 60_000);

afterEach(stopAll);

afterAll(() => rmSync(dir, { recursive: true, force: true }));

const node = process.env.FRACTAL_TEST_NODE;
const engines: [name: string, env: Record<string, string>, command: string[] | undefined, skip: boolean][] = [
  ["Bun", {}, undefined, false],
  [
    "Node",
    { FRACTAL_ENGINE: "node" },
    [node ?? "", join(import.meta.dirname, "../../bin/fractal.mjs")],
    node === undefined,
  ],
];

for (const [name, engine, command, skip] of engines) {
  describe.skipIf(skip || noPostgres !== undefined || process.platform !== "linux")(
    `fractal start --workers on ${name}`,
    () => {
      it("serves one address with all of them, replaces one that is killed, and stops them all", async () => {
        const env = { ...engine, DATABASE_URL: await server.createDatabase() };
        const started = fractal(["start", "--workers", "3", "--port", "0"], {
          cwd: dir,
          env,
          ...(command && { command }),
        });
        const url = await started.url();
        const workers = new Set<number>();
        while (workers.size < 2) workers.add(await readyWorker(started.out));
        expect(workers).toEqual(new Set([2, 3]));
        const pids = childrenOf(started.child.pid ?? 0);
        expect(pids).toHaveLength(3);
        process.kill(pids[0] ?? 0, "SIGKILL");
        expect(await readyWorker(started.out)).toBe(1);
        for (let i = 0; i < 30; i++) {
          const answer = await fetch(`${url}/ready`, { keepalive: false });
          expect([answer.status, await answer.json()]).toEqual([200, { status: "ok" }]);
        }
        const replaced = childrenOf(started.child.pid ?? 0);
        expect(replaced).toHaveLength(3);
        expect(replaced).not.toContain(pids[0] ?? 0);
        started.child.kill("SIGTERM");
        expect(await started.exit).toEqual([0, null]);
        for (const pid of replaced) expect(() => process.kill(pid, 0)).toThrow();
        expect(started.out.seen().match(/server is ready/g)).toHaveLength(1);
        expect(started.err.seen()).toBe("Worker 1 ended unexpectedly (SIGKILL); starting it again.\n");
      }, 90_000);
    },
  );
}

describe("fractal start --workers", () => {
  it("is refused without a database, and where nobody would start the others", async () => {
    const alone = fractal(["start", "--workers", "2"], { cwd: dir });
    expect(await alone.exit).toEqual([78, null]);
    expect(alone.err.seen()).toContain("FRACTAL_WORKERS is 2, but the embedded database belongs to one process");
    const env = { DATABASE_URL: "postgres://u@127.0.0.1:1/d", FRACTAL_WORKERS: "2" };
    const unsupervised = fractal(["start", "--no-supervisor"], { cwd: dir, env });
    expect(await unsupervised.exit).toEqual([78, null]);
    expect(unsupervised.err.seen()).toContain("FRACTAL_WORKERS is 2, but without the supervisor");
  }, 30_000);

  it("ends with 69 when the database is out of reach, after one try", async () => {
    const env = { DATABASE_URL: "postgres://u:hunter22@127.0.0.1:1/d" };
    const { exit, err } = fractal(["start", "--workers", "2", "--port", "0"], { cwd: dir, env });
    expect(await exit).toEqual([69, null]);
    expect(err.seen()).toStartWith("The database at 127.0.0.1:1/d cannot be reached (ECONNREFUSED)");
    expect(err.seen()).not.toContain("hunter22");
  }, 30_000);
});

/** The number of the next worker that says it is ready. */
async function readyWorker(out: { until(pattern: RegExp): Promise<string> }): Promise<number> {
  const line = await out.until(/worker is ready/);
  return (JSON.parse(line) as { worker: number }).worker;
}

/** Of the supervisor, oldest first. */
function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}
