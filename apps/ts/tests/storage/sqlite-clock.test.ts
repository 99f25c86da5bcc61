import { afterEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROJECT } from "../chaos/instance.ts";
import { Judge } from "../chaos/judge.ts";
import { Turns } from "../chaos/turns.ts";
import { CrashServer, eventually } from "../crash/server.ts";
import { canSkew, forgetClock, steppedClock } from "../servers/faketime.ts";
import { storageUnderTest } from "../servers/storage.ts";

setDefaultTimeout(120_000);

const missing = canSkew() ?? (storageUnderTest === "sqlite" ? undefined : "about the embedded storage");

describe.skipIf(missing !== undefined)(`a server on SQLite whose clock is set (${missing ?? "faketime"})`, () => {
  const cleanups: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  /** A server, and what sets its clock. */
  async function machine(offset = "+0") {
    const folder = mkdtempSync(join(tmpdir(), "fractal-clock-"));
    const file = join(folder, "offset");
    const set = (to: string) => writeFileSync(file, `${to}\n`);
    set(offset);
    const judge = await Judge.start();
    const env = { ...steppedClock(file), JUDGE_URL: judge.url };
    const server = new CrashServer("bun", env, PROJECT);
    cleanups.push(async () => {
      forgetClock(server.pid);
      await server[Symbol.asyncDispose]();
      await judge[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    });
    await server.start();
    return { server, set };
  }

  it("keeps every turn, state write and fork while its clock goes back and forth", async () => {
    const { server, set } = await machine();
    const turns = await Turns.begin(server.url);
    for (const offset of ["+0", "-0.05", "-5", "-1h", "+1h", "-1h"]) {
      set(offset);
      await turns.run(server.url, server.url);
      await turns.stateWrite(server.url, server.url);
      await turns.streamed(server.url, server.url);
      await turns.checkHistory(server.url);
    }
    set("-1h");
    await turns.fork(server.url, server.url);
    await turns.prune(server.url, server.url);
  });

  it("shows what was written last after a restart with the clock an hour back, and prunes to it", async () => {
    const { server, set } = await machine();
    const turns = await Turns.begin(server.url);
    await turns.run(server.url, server.url);
    await turns.run(server.url, server.url);
    await server.stop();
    set("-1h");
    await server.start();
    await turns.check(server.url, "the restart");
    await turns.run(server.url, server.url);
    await turns.stateWrite(server.url, server.url);
    await turns.streamed(server.url, server.url);
    await turns.checkHistory(server.url);
    await turns.prune(server.url, server.url);
  });

  it("starts a delayed run in time though the clock is set back, and no later one before it", async () => {
    const { server, set } = await machine();
    const runs = `/threads/${await server.thread()}/runs`;
    const delayed = await server.json(runs, { assistant_id: "counter", input: { steps: 1 }, after_seconds: 2 });
    set("-1h");
    const second = await server.json(runs, { assistant_id: "counter", input: { steps: 1 }, after_seconds: 3 });
    await server.json(`${runs}/${second.run_id}/join`);
    const [first, last] = await Promise.all([delayed, second].map((run) => server.json(`${runs}/${run.run_id}`)));
    expect([first.status, last.status]).toEqual(["success", "success"]);
    expect(Date.parse(last.created_at)).toBeGreaterThanOrEqual(Date.parse(first.created_at));
    expect(Date.parse(last.updated_at)).toBeGreaterThanOrEqual(Date.parse(first.updated_at));
  });

  it("starts what was due before a kill and a restart with the clock an hour back", async () => {
    const { server, set } = await machine();
    const runs = `/threads/${await server.thread()}/runs`;
    const delayed = await server.json(runs, { assistant_id: "counter", input: { steps: 1 }, after_seconds: 1 });
    await server.kill();
    set("-1h");
    await server.start();
    const done = await eventually(
      () => server.json(`${runs}/${delayed.run_id}`),
      (run) => run.status === "success",
    );
    expect(Date.parse(done.updated_at)).toBeGreaterThan(Date.parse(done.created_at));
  });
});
