import { expect } from "bun:test";
import { ANONYMOUS } from "#core/identity/scope";
import { openPostgresStorage } from "#storage/postgres/open";
import { CuttingProxy } from "../../e2e/cutting-proxy.ts";
import { checkDelivered, checkStream, settled } from "../check.ts";
import { ask, replay, streamRun } from "../client.ts";
import { Fleet } from "../fleet.ts";
import { type Effort, eventually, generator, pause, type Scenario, steps } from "../scenario.ts";
import { BareReader } from "../wire.ts";

const MODES = { stream_mode: ["updates", "values", "messages-tuple"], stream_resumable: true };

async function reconnect(effort: Effort): Promise<string> {
  const random = generator(effort.seed);
  await using fleet = await Fleet.start();
  await using proxy = await CuttingProxy.each(
    () => fleet.url(),
    () => 300 + Math.floor(random() * 6_000),
  );
  const wanted = effort.n(60, 1_000);
  let runs = 0;
  while (proxy.cuts < wanted) {
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        const tokens = random() < 0.5;
        const body = tokens
          ? { assistant_id: "tokens", input: { messages: [{ role: "user", content: "go" }], n: 120, delay_ms: 2 } }
          : { assistant_id: "steps", input: { steps: 25, ms: 5 }, config: { recursion_limit: 100 } };
        // The request that creates the run is not cut: it cannot be repeated.
        const seen = await streamRun(fleet, {
          threadId: await fleet.thread(),
          body: { ...body, ...MODES },
          pick: (connection) => (connection === 0 ? fleet.url() : proxy.url),
          scale: 0,
        });
        checkStream(seen.events);
        const again = await streamFrom(fleet, proxy.url, seen);
        for (const events of [seen.events, again]) {
          checkStream(events);
          for (const instance of fleet.instances) checkDelivered(events, await replay(instance, seen));
        }
        runs++;
      }),
    );
  }
  await settled(fleet);
  return `${proxy.cuts} cuts, ${runs} runs`;
}

/** The whole run once more from its start, through cuts. */
async function streamFrom(fleet: Fleet, url: string, run: { threadId: string; runId: string }) {
  const events: Awaited<ReturnType<typeof replay>> = [];
  let lastId = "-1";
  for (let tries = 0; tries < 200; tries++) {
    const reader = new BareReader(url, `/threads/${run.threadId}/runs/${run.runId}/stream`, { lastId, keep: true });
    await eventually(async () => reader.closed || reader.ended, Boolean);
    reader.drop();
    for (const id of reader.ids) events.push({ event: id.endsWith("-0") ? "metadata" : "event", data: null, id });
    lastId = reader.lastId ?? lastId;
    if (reader.ended) {
      const last = events.at(-1);
      if (last !== undefined) last.event = "end";
      return events;
    }
  }
  throw new Error(`${run.runId} cannot be read through ${url} of ${fleet.instances.length}`);
}

async function fanout(effort: Effort): Promise<string> {
  await using fleet = await Fleet.start();
  const threadId = await fleet.thread();
  const body = {
    assistant_id: "tokens",
    input: { messages: [{ role: "user", content: "go" }], n: 400, delay_ms: 5 },
    ...MODES,
  };
  const { run_id: runId } = await ask(fleet.url(), `/threads/${threadId}/runs`, body);
  const path = `/threads/${threadId}/runs/${runId}/stream`;
  const count = effort.n(100, 1_000);
  const readers = Array.from({ length: count }, () => new BareReader(fleet.url(), path, { lastId: "-1", keep: true }));
  const slow = readers.slice(0, 5);
  const stalling = (async () => {
    while (slow.some((reader) => !reader.ended && !reader.closed)) {
      for (const reader of slow) reader.stall();
      await pause(300);
      for (const reader of slow) reader.resume();
      await pause(5);
    }
  })();
  await eventually(
    async () => readers.filter(({ ended }) => ended).length,
    (ended) => ended === count,
  );
  await stalling;
  expect(new Set(readers.map(({ hash }) => hash)).size, "I8: readers saw different streams").toBe(1);
  expect(readers[0]?.ids.length).toBeGreaterThan(400);
  for (const reader of readers) reader.drop();
  await settled(fleet);
  return `${count} readers, ${readers[0]?.ids.length} events each`;
}

async function endRead(effort: Effort): Promise<string> {
  await using fleet = await Fleet.start();
  const [a, b] = [fleet.at(0), fleet.at(1)];
  let done = 0;
  const total = effort.n(120, 10_000);
  const client = async () => {
    while (done++ < total) {
      const { thread_id: threadId } = await ask(a.url, "/threads", {});
      const seen = await streamRun(fleet, {
        threadId,
        body: { assistant_id: "counter", input: { steps: 2 }, stream_mode: "values" },
        pick: () => a.url,
      });
      for (const { url } of [b, a]) {
        const [run, thread] = await Promise.all([
          ask(url, `/threads/${threadId}/runs/${seen.runId}`),
          ask(url, `/threads/${threadId}`),
        ]);
        expect([run.status, thread.status, thread.values.log], "I9").toEqual(["success", "idle", steps(2)]);
      }
    }
  };
  await Promise.all(Array.from({ length: 6 }, client));
  await settled(fleet);
  return `${total} runs`;
}

/** A thread's whole log over two runs, an attempt that died, and two instances. */
async function log(): Promise<string> {
  await using fleet = await Fleet.start();
  const threadId = await fleet.thread();
  const body = { assistant_id: "steps", input: { steps: 8, ms: 60 }, ...MODES };
  let killed: Promise<void> | undefined;
  const first = await streamRun(fleet, {
    threadId,
    body,
    onEvent: (_, sofar) => {
      if (killed === undefined && sofar.filter(({ event }) => event === "updates").length >= 3) {
        killed = fleet.executorOf(sofar[0]?.data.run_id).kill();
      }
    },
  });
  await killed;
  const dead = fleet.instances.find(({ running }) => !running);
  await dead?.start();
  const second = await streamRun(fleet, {
    threadId,
    body: { ...body, input: { steps: 12, ms: 20 } },
    pick: () => dead?.url ?? fleet.url(),
  });
  const read = async () => {
    await using storage = await openPostgresStorage({
      url: fleet.databaseUrl,
      pool: { min: 0, max: 2, timeoutMs: 10_000 },
      prepare: true,
    });
    return storage.events.read(ANONYMOUS, { thread_id: threadId, limit: 10_000 });
  };
  const rows = await read();
  const ids = rows.map(({ epoch, n }) => `${epoch}-${n}`);
  expect(new Set(ids).size, "an id twice").toBe(ids.length);
  for (const [i, row] of rows.entries()) {
    const before = rows[i - 1];
    if (before === undefined) continue;
    const follows = row.epoch === before.epoch ? row.n === before.n + 1 : row.epoch > before.epoch && row.n === 0;
    expect(follows, `${ids[i]} follows ${ids[i - 1]}`).toBe(true);
  }
  expect(new Set(rows.map(({ epoch }) => epoch)).size).toBe(3);
  const tell = async () => {
    const told: Record<string, string[][]> = {};
    for (const run of [first, second]) {
      for (const instance of fleet.instances) {
        const events = await replay(instance, run);
        checkStream(events);
        told[run.runId] = [...(told[run.runId] ?? []), events.flatMap(({ id }) => id ?? [])];
      }
    }
    return told;
  };
  const before = await tell();
  for (const run of [first, second]) {
    const [one, other] = before[run.runId] as [string[], string[]];
    expect(one, "two instances tell different logs").toEqual(other);
    // What readers are shown of the log; its other rows (values kept for the end) are not shown to them.
    expect(
      one.filter((id) => !ids.includes(id)),
      "told, and not in the log",
    ).toEqual([]);
    checkDelivered(run.events, await replay(fleet.at(0), run));
  }
  for (const instance of fleet.instances) {
    expect(await instance.stop()).toBe(0);
    await instance.start();
  }
  expect(await tell(), "after a restart").toEqual(before);
  expect(await read()).toEqual(rows);
  await settled(fleet);
  return `${rows.length} events in 3 epochs`;
}

async function slow(effort: Effort): Promise<string> {
  await using fleet = await Fleet.start({ instances: 2 });
  const threadId = await fleet.thread();
  const megabytes = effort.n(20, 100);
  const readers = effort.n(100, 5_000);
  const bytes = Number(process.env.FLOOD_BYTES ?? 65_536);
  const body = {
    assistant_id: "flood",
    input: { n: (megabytes * 1024 * 1024) / bytes, bytes },
    stream_mode: ["custom"],
    stream_resumable: true,
  };
  const base = fleet.instances.map(({ rss }) => rss);
  const { run_id: runId } = await ask(fleet.at(0).url, `/threads/${threadId}/runs`, body);
  const stalled = Array.from({ length: readers }, (_, i) => {
    const reader = new BareReader(fleet.at(i % 2).url, `/threads/${threadId}/runs/${runId}/stream`, { lastId: "-1" });
    reader.stall();
    return reader;
  });
  let highest = 0;
  await eventually(
    async () => {
      highest = Math.max(highest, ...fleet.instances.map(({ rss }, i) => rss - (base[i] ?? 0)));
      // Not further: it would take the machine with it.
      if (highest > 2_000) throw new Error(`I23: ${Math.round(highest)} MiB above the start`);
      return (await ask(fleet.at(1).url, `/threads/${threadId}/runs/${runId}`)).status;
    },
    (status) => status === "success",
    300_000,
  );
  for (const reader of stalled) reader.drop();
  expect(highest, "I23: MiB above the start").toBeLessThan(600);
  // Others were served meanwhile, and are now.
  expect((await ask(fleet.at(0).url, "/runs/wait", { assistant_id: "counter", input: { steps: 1 } })).count).toBe(1);
  await settled(fleet);
  return `${readers} stalled readers, ${megabytes} MB: ${Math.round(highest)} MiB more`;
}

/** Many readers drop at once and come back within a second. */
async function thunder(effort: Effort): Promise<string> {
  await using fleet = await Fleet.start();
  const count = effort.n(300, 5_000);
  const runs = await Promise.all(
    Array.from({ length: 10 }, async () => {
      const threadId = await fleet.thread();
      const body = {
        assistant_id: "steps",
        input: { steps: 400, ms: 250 },
        config: { recursion_limit: 1000 },
        stream_mode: ["updates"],
        stream_resumable: true,
      };
      const { run_id: runId } = await ask(fleet.url(), `/threads/${threadId}/runs`, body);
      return { threadId, runId, path: `/threads/${threadId}/runs/${runId}/stream` };
    }),
  );
  const open = (lastIds: (string | undefined)[]) =>
    lastIds.map((lastId, i) => new BareReader(fleet.url(), runs[i % runs.length]?.path ?? "", { lastId, keep: true }));
  let readers = open(Array.from({ length: count }, () => "-1"));
  await eventually(
    async () => readers.filter(({ lastId }) => lastId !== undefined).length,
    (n) => n === count,
    120_000,
  );
  const resumed: number[] = [];
  for (let round = 0; round < effort.n(1, 3); round++) {
    const before = readers;
    for (const reader of before) reader.drop();
    const dropped = performance.now();
    await pause(500);
    readers = open(before.map(({ lastId }) => lastId));
    await eventually(
      async () => readers.filter(({ ids }) => ids.length > 0).length,
      (n) => n === count,
      120_000,
    );
    resumed.push(performance.now() - dropped);
    expect(new Set(readers.map(({ status }) => status))).toEqual(new Set([200]));
    for (const [i, reader] of readers.entries()) {
      const [epoch, n] = (before[i]?.lastId ?? "").split("-").map(Number);
      expect(reader.ids[0], "I7").toBe(`${epoch}-${(n ?? 0) + 1}`);
    }
  }
  for (const reader of readers) reader.drop();
  await Promise.all(
    runs.map(({ threadId, runId }) => ask(fleet.url(), `/threads/${threadId}/runs/${runId}/cancel?wait=1`, {})),
  );
  await settled(fleet);
  return `${count} readers, all had a new event ${Math.round(Math.max(...resumed))} ms after the drop`;
}

export const STREAMS: Scenario[] = [
  { name: "T-RECONNECT", proves: "I7: a connection cut at any byte costs no event and doubles none", run: reconnect },
  { name: "T-FANOUT", proves: "I8: 100 readers on two instances, 5 of them slow, see the same bytes", run: fanout },
  {
    name: "T-ENDREAD",
    proves: "I9: after the end of a stream both instances show the final state of run and thread",
    run: endRead,
  },
  {
    name: "T-LOG",
    proves: "I7: a thread's log over two runs, a dead attempt and two instances has one order and keeps its ids",
    run: log,
  },
  { name: "T-SLOW", proves: "I23: readers that do not read cost no memory to speak of", run: slow },
  { name: "T-THUNDER", proves: "I7: readers that drop at once and come back go on where they were", run: thunder },
];
