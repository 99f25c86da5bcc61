import { expect } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dropStorage, storageEnvironment } from "../servers/storage.ts";
import { RestartedServer } from "./restarted-server.ts";

export interface Poisoning {
  kind: "abort" | "kill" | "exit" | "loop" | "memory";
  neighbours: number;
  servers?: number;
  env?: Record<string, string>;
  /** Engine and its flags; Bun by default. */
  program?: readonly [string, ...string[]];
}

/** A client that comes back when the server was away, with the same request. */
// biome-ignore lint/suspicious/noExplicitAny: answers are judged by the tests
async function ask(server: RestartedServer, path: string, body?: unknown): Promise<any> {
  const headers = { "content-type": "application/json", "idempotency-key": crypto.randomUUID() };
  for (const deadline = Date.now() + 60_000; ; await Bun.sleep(100)) {
    try {
      const response = await fetch(server.url + path, {
        ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
        headers,
        signal: AbortSignal.timeout(10_000),
      });
      if (response.ok) return await response.json();
      throw new Error(`${path}: ${response.status} ${await response.text()}`);
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

/** One run that ends processes among healthy ones, all at work when it does so first; returns what it took. */
export async function poisonEndsAlone(poisoning: Poisoning): Promise<{ deaths: number; seconds: number }> {
  const { kind, neighbours, servers: count = 1 } = poisoning;
  const dir = mkdtempSync(join(tmpdir(), "fractal-poison-"));
  const [gate, ledger] = [join(dir, "gate"), join(dir, "ledger")];
  writeFileSync(ledger, "");
  const storage = await storageEnvironment();
  const env = { FRACTAL_DATA_DIR: dir, N_JOBS_PER_WORKER: "300", ...storage, ...poisoning.env };
  const servers: RestartedServer[] = [];
  try {
    for (let i = 0; i < count; i++) servers.push(await RestartedServer.start(env, poisoning.program));
    const [server] = servers as [RestartedServer];
    const start = (i: number, assistant_id: string, input: object) =>
      ask(servers[i % count] as RestartedServer, "/runs", {
        assistant_id,
        input,
        on_completion: "keep",
        durability: "async",
      });
    const names = Array.from({ length: neighbours }, (_, i) => `run-${i}`);
    const healthy: { run_id: string; thread_id: string }[] = await Promise.all(
      names.map((name, i) => start(i, "neighbour", { name, gate, ledger, ms: 1_500 })),
    );
    const written = () => readFileSync(ledger, "utf8").trim().split("\n");
    while (written().length < neighbours) await Bun.sleep(50);
    const began = performance.now();
    const poison = await start(0, "poison", { kind, gate, ms: 1_000 });
    const find = ({ thread_id, run_id }: { thread_id: string; run_id: string }) =>
      ask(server, `/threads/${thread_id}/runs/${run_id}`);
    const over = async () => {
      const all = await Promise.all([poison, ...healthy].map(find));
      return all.every(({ status }) => status !== "pending" && status !== "running") ? all : undefined;
    };
    const deadline = performance.now() + 380_000;
    let all = await over();
    while (all === undefined && performance.now() < deadline) {
      await Bun.sleep(500);
      all = await over();
    }
    const seconds = (performance.now() - began) / 1_000;
    const deaths = servers.reduce((sum, each) => sum + each.deaths, 0);
    if (all === undefined) throw new Error(`not over after ${deaths} deaths:\n${server.output}`);
    const [bad, ...good] = all;
    expect(bad.status).toBe("error");
    expect(good.map(({ status }) => status)).toEqual(good.map(() => "success"));
    const { __error__ } = await ask(server, `/threads/${poison.thread_id}/runs/${poison.run_id}/join`);
    expect(__error__).toMatchObject({
      error: "RunAttemptsExhausted",
      message: "The run was given up: it ended its process 3 times",
    });
    // What a step did outside just before a death, and had not stored yet, is done again; the state below counts each once.
    expect(new Set(written())).toEqual(new Set(names.flatMap((name) => [`${name} first`, `${name} last`])));
    const values = await Promise.all(healthy.map(({ thread_id }) => ask(server, `/threads/${thread_id}/state`)));
    for (const { values: state } of values) expect(state.done).toEqual(["first", "wait", "last"]);
    return { deaths, seconds };
  } finally {
    for (const server of servers) await server[Symbol.asyncDispose]();
    await dropStorage(storage);
    rmSync(dir, { recursive: true, force: true });
  }
}
