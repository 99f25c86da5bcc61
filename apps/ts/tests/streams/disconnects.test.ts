import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { arrival, open } from "../runs/fixtures/gate.ts";
import { RunServer, runPath, until } from "../runs/server.ts";
import { RawClient } from "./raw-client.ts";

describe("clients that vanish", () => {
  let server: RunServer;
  const outside: unknown[] = [];
  const note = (error: unknown) => void outside.push(error);
  beforeAll(async () => {
    process.on("unhandledRejection", note);
    process.on("uncaughtException", note);
    server = await RunServer.start({ N_JOBS_PER_WORKER: "20" });
  });
  afterAll(async () => {
    process.off("unhandledRejection", note);
    process.off("uncaughtException", note);
    await server[Symbol.asyncDispose]();
  });

  const settled = () =>
    until(async () => {
      const { pending, running } = await server.storage.runs.counts();
      return pending + running === 0 && server.hub.size === 0 && server.worker.running === 0;
    });

  it("200 times, at any moment, throw nothing outside their request and leave nothing behind", async () => {
    const tokens = {
      assistant_id: "tokens",
      input: { messages: [], n: 40, delay_ms: 1 },
      stream_mode: ["messages-tuple", "values"],
    };
    for (let i = 0; i < 200; i++) {
      const thread = await server.thread();
      const form = ["stream", "wait", "stream"][i % 3];
      const on_disconnect = i % 2 === 0 ? "cancel" : "continue";
      const client = await RawClient.open(server.url, `${thread.runs}/${form}`, { ...tokens, on_disconnect });
      // At once, with the headers, with the first event, or in the middle of the tokens.
      const marks = [undefined, "HTTP/1.1 200", "event: metadata", "event: messages"];
      const mark = form === "wait" ? marks[i % 2] : marks[i % marks.length];
      if (mark !== undefined) await client.readUntil(mark);
      if (i % 5 === 0) client.socket.destroy();
      else client.vanish();
    }
    await settled();
    expect(outside).toEqual([]);
    expect(server.log.filter((line) => line.includes('"level":"error"') && !line.includes("broken"))).toEqual([]);
    expect((await server.get("/ok")).status).toBe(200);
  });

  it("cancel their run only if they asked for that, however early they go", async () => {
    for (const form of ["stream", "wait"]) {
      for (const [on_disconnect, status] of [
        ["cancel", "interrupted"],
        ["continue", "success"],
      ] as const) {
        for (const moment of ["at once", "later"]) {
          const thread = await server.thread();
          const name = `vanish ${form} ${on_disconnect} ${moment}`;
          const body = { assistant_id: "gate", input: { name }, on_disconnect };
          const client = await RawClient.open(server.url, `${thread.runs}/${form}`, body);
          if (moment === "later") await client.readUntil("HTTP/1.1 200");
          client.vanish();
          const now = async () => (await server.get(thread.runs)).body[0]?.status;
          // One that was cancelled at once need not have come to its gate.
          if (status === "interrupted") await until(async () => (await now()) === status);
          else await arrival(name);
          open(name);
          await until(async () => (await now()) === status);
        }
      }
    }
    await settled();
    expect(outside).toEqual([]);
  });

  it("may come back to a resumable run before it is cancelled, and only to such", async () => {
    const begin = async (name: string, form: "stream" | "wait", stream_resumable: boolean) => {
      const thread = await server.thread();
      const body = { assistant_id: "gate", input: { name }, on_disconnect: "cancel", stream_resumable };
      const client = await RawClient.open(server.url, `${thread.runs}/${form}`, body);
      await client.readUntil("HTTP/1.1 200");
      await arrival(name);
      const [run] = (await server.get(thread.runs)).body as { run_id: string; thread_id: string }[];
      if (run === undefined) throw new Error("there is no run");
      client.vanish();
      await until(() => {
        const feed = server.hub.find(run.run_id);
        return feed === undefined || feed.readers + feed.waiting === 0;
      });
      return run;
    };
    const back = await begin("comes back", "stream", true);
    const waits = await begin("waits again", "wait", true);
    const joined = [server.join(back, { from: "-1" }), server.get(`${runPath(waits)}/join`)];
    const away = await begin("stays away", "stream", true);
    const left = performance.now();
    // Not resumable: at once.
    await server.reached(await begin("may not", "stream", false), "interrupted");
    expect(performance.now() - left).toBeLessThan(2_000);
    expect((await server.run(away)).status).toBe("running");
    await server.reached(away, "interrupted");
    expect(performance.now() - left).toBeGreaterThan(2_000);
    // They left before that.
    for (const run of [back, waits]) expect((await server.run(run)).status).toBe("running");
    open("comes back");
    open("waits again");
    await Promise.all(joined);
    for (const run of [back, waits]) expect((await server.run(run)).status).toBe("success");
    await settled();
  });

  it("do not cancel a run that ended by itself", async () => {
    for (let i = 0; i < 20; i++) {
      const thread = await server.thread();
      const body = { assistant_id: "counter", input: { steps: 1 }, on_disconnect: "cancel" };
      const client = await RawClient.open(server.url, `${thread.runs}/stream`, body);
      await client.readUntil("event: end");
      client.vanish();
      await settled();
      expect((await server.get(thread.runs)).body[0].status).toBe("success");
    }
  });
});

describe("a server that stops", () => {
  it("does not cancel the runs of the clients that it cuts off, not even of one that does not read", async () => {
    const server = await RunServer.start();
    const thread = await server.thread();
    const body = {
      assistant_id: "gate",
      input: { name: "cut-off", n: 2000, size: 10_000 },
      on_disconnect: "cancel",
      stream_mode: "custom",
    };
    const client = await RawClient.open(server.url, `${thread.runs}/stream`, body);
    await arrival("cut-off");
    const queued = await RawClient.open(server.url, `${thread.runs}/wait`, { ...body, input: {} });
    await until(async () => (await server.storage.runs.counts()).pending === 1);
    await server.worker.drain("test", 0);
    server.hub.suspendAll();
    await server.http.close(AbortSignal.abort());
    expect(await server.storage.runs.counts()).toMatchObject({ pending: 2, running: 0 });
    for (const each of [client, queued]) each.vanish();
    await server[Symbol.asyncDispose]();
  });
});
