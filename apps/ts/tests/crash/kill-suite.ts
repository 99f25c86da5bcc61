import { describe, expect, it } from "bun:test";
import type { SseEvent } from "../runs/sse-client.ts";
import { TcpProxy } from "../servers/tcp-proxy.ts";
import { RawClient } from "../streams/raw-client.ts";
import { type SdkEvent, streamWithSdk } from "./sdk-client.ts";
import { CrashServer, type EngineName, eventually } from "./server.ts";

const ids = (events: readonly SseEvent[]): string[] => events.flatMap(({ id }) => id ?? []);
const order = (id: string): [number, number] => id.split("-").map(Number) as [number, number];
const isAfter = (a: string, b: string): boolean => {
  const [[ea, na], [eb, nb]] = [order(a), order(b)];
  return ea > eb || (ea === eb && na > nb);
};

/** What a stop of any kind, at any moment, must leave intact. */
export function killSuite(engine: EngineName): void {
  describe(`kill -9 in the middle of a streamed run (${engine})`, () => {
    it("goes on after the restart: ends once, repeats no finished step, loses and doubles no event", async () => {
      await using server = await CrashServer.start(engine);
      const threadId = await server.thread();
      const before = await server.stream(`/threads/${threadId}/runs/stream`, {
        assistant_id: "counter",
        input: { steps: 12, sleep_ms: 60 },
        stream_mode: ["updates", "values"],
      });
      const seen = await before.readUntil(
        ({ events }) => events.filter(({ event }) => event === "updates").length >= 4,
      );
      const runId: string = seen[0]?.data.run_id;
      await server.kill();
      await server.start();
      const after = await server.rejoin(threadId, runId, ids(seen).at(-1) as string);
      const rest = await after.rest();

      const all = [...ids(seen), ...ids(rest)];
      expect(all.every((id, i) => i === 0 || isAfter(id, all[i - 1] as string))).toBe(true);
      expect(rest.find(({ event }) => event === "metadata")?.data).toMatchObject({ run_id: runId, attempt: 2 });
      expect(rest.at(-1)?.event).toBe("end");
      expect(rest.filter(({ event }) => event === "end")).toHaveLength(1);
      const log = Array.from({ length: 12 }, (_, i) => `step-${i + 1}`);
      expect(rest.findLast(({ event }) => event === "values")?.data.log).toEqual(log);

      const [run, thread] = [
        await server.json(`/threads/${threadId}/runs/${runId}`),
        await server.json(`/threads/${threadId}`),
      ];
      expect([run.status, thread.status, thread.values.log]).toEqual(["success", "idle", log]);
      // The whole log again: every id that the client saw before the crash is there or was superseded by the new attempt.
      const whole = ids(await (await server.rejoin(threadId, runId, "-1")).rest());
      expect(new Set(whole).size).toBe(whole.length);
      const firstAttempt = whole.filter((id) => order(id)[0] === order(all[0] as string)[0]);
      expect(firstAttempt).toEqual(ids(seen).slice(0, firstAttempt.length));
    });

    it("runs a run that was only accepted, and keeps the order of those that wait", async () => {
      await using server = await CrashServer.start(engine);
      const threadId = await server.thread();
      const create = (steps: number) =>
        server.json(`/threads/${threadId}/runs`, { assistant_id: "counter", input: { steps, sleep_ms: 100 } });
      const runs = [await create(3), await create(4), await create(5)];
      await server.kill();
      await server.start();
      for (const { run_id } of runs) await server.json(`/threads/${threadId}/runs/${run_id}/join`);
      const thread = await server.json(`/threads/${threadId}`);
      expect([thread.status, thread.values.count]).toEqual(["idle", 5]);
      const after = await server.json(`/threads/${threadId}/runs`);
      expect(after.map(({ status }: { status: string }) => status)).toEqual(["success", "success", "success"]);
    });

    it("fires a delayed run whose time came while nobody was there, and runs a stateless one again from its input", async () => {
      await using server = await CrashServer.start(engine);
      const threadId = await server.thread();
      const delayed = await server.json(`/threads/${threadId}/runs`, {
        assistant_id: "counter",
        input: { steps: 1 },
        after_seconds: 1,
      });
      const stateless = await server.json("/runs", { assistant_id: "counter", input: { steps: 4, sleep_ms: 80 } });
      await server.kill();
      await server.start();
      await server.json(`/threads/${threadId}/runs/${delayed.run_id}/join`);
      const values = await server.json(`/threads/${stateless.thread_id}/runs/${stateless.run_id}/join`);
      expect(values.log).toEqual(["step-1", "step-2", "step-3", "step-4"]);
      expect((await server.json(`/threads/${threadId}`)).values.count).toBe(1);
    });
  });

  describe(`a clean stop in the middle of a streamed run (${engine})`, () => {
    it.each(["SIGTERM", "SIGINT"] as const)(
      "by %s uses no attempt, breaks the stream off without an end, and goes on where it stood",
      async (signal) => {
        await using server = await CrashServer.start(engine);
        const threadId = await server.thread();
        const before = await server.stream(`/threads/${threadId}/runs/stream`, {
          assistant_id: "counter",
          input: { steps: 10, sleep_ms: 80 },
          stream_mode: "updates",
        });
        await before.readUntil(({ events }) => events.filter(({ event }) => event === "updates").length >= 3);
        const stopped = server.stop(signal);
        const seen = await before.untilBroken();
        expect(await stopped).toBe(0);
        expect(seen.map(({ event }) => event)).not.toContain("end");
        await server.start();
        const runId: string = seen[0]?.data.run_id;
        const rest = await (await server.rejoin(threadId, runId, ids(seen).at(-1) as string)).rest();
        expect(rest.find(({ event }) => event === "metadata")?.data.attempt).toBe(1);
        const steps = [...seen, ...rest].filter(({ event }) => event === "updates").map(({ data }) => data.step.log[0]);
        expect(steps).toEqual(Array.from({ length: 10 }, (_, i) => `step-${i + 1}`));
        expect((await server.json(`/threads/${threadId}/runs/${runId}`)).status).toBe("success");
      },
    );
  });

  describe(`a clean stop while an SDK reads (${engine})`, () => {
    it.each(["a thread", "no thread"])(
      "is not seen in the stream of a run with %s: nothing lacks or comes twice",
      async (of) => {
        await using server = await CrashServer.start(engine);
        await using proxy = await TcpProxy.start(
          () => server.url,
          (near, far) => void near.pipe(far).pipe(near),
        );
        // Without it a run without a thread begins again from its input.
        const durability = "async";
        const payload = { input: { steps: 10, sleep_ms: 80 }, streamMode: "updates", durability };
        const threadId = of === "a thread" ? await server.thread() : null;
        const seen: SdkEvent[] = [];
        const steps = () => seen.filter(({ event }) => event === "updates").map(({ data }) => data.step.log[0]);
        let again: Promise<void> | undefined;
        const url = `http://127.0.0.1:${proxy.port}`;
        for await (const event of streamWithSdk(url, { threadId, assistantId: "counter", payload })) {
          seen.push(event);
          if (steps().length === 3) again ??= server.stop().then(() => server.start());
        }
        await again;
        expect(steps()).toEqual(Array.from({ length: 10 }, (_, i) => `step-${i + 1}`));
        expect(seen.filter(({ event }) => event === "metadata")).toHaveLength(2);
        expect(seen.at(-1)?.event).toBe("end");
      },
    );

    it("breaks a wait off, without a word that could be taken for its result", async () => {
      await using server = await CrashServer.start(engine);
      const threadId = await server.thread();
      const path = `/threads/${threadId}/runs/wait`;
      const body = { assistant_id: "counter", input: { steps: 10, sleep_ms: 80 } };
      const client = await RawClient.open(server.url, path, body);
      const head = await client.readUntil("\r\n\r\n1\r\n\n\r\n");
      await eventually(
        () => server.json(`/threads/${threadId}/state`),
        (state) => state.values.count >= 2,
      );
      const rest = client.rest();
      expect(await server.stop()).toBe(0);
      // Neither a result nor the last chunk, which would end the answer well.
      expect((await rest).replaceAll("1\r\n\n\r\n", "")).toBe("");
      await server.start();
      const location = /^location: (.+)\r$/im.exec(head)?.[1] as string;
      expect((await server.json(location)).count).toBe(10);
    });
  });

  describe(`a run that ignores its cancel (${engine})`, () => {
    it("frees the thread, and what it still does changes nothing", async () => {
      await using server = await CrashServer.start(engine);
      const threadId = await server.thread();
      const run = await server.json(`/threads/${threadId}/runs`, { assistant_id: "deaf", input: { ms: 1500 } });
      await eventually(
        () => server.json(`/threads/${threadId}/state`),
        (state) => state.next[0] === "wait",
      );
      await server.json(`/threads/${threadId}/runs/${run.run_id}/cancel?wait=true`, {});
      expect((await server.json(`/threads/${threadId}/runs/${run.run_id}`)).status).toBe("interrupted");
      await server.json(`/threads/${threadId}/runs/wait`, { assistant_id: "counter", input: { steps: 1 } });
      await new Promise((resolve) => setTimeout(resolve, 1600));
      const { values, status } = await server.json(`/threads/${threadId}`);
      expect([values.finished, values.count, status]).toEqual([undefined, 1, "idle"]);
    });
  });
}
