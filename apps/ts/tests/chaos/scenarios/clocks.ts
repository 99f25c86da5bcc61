import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canSkew, clock, forgetClock, steppedClock } from "../../servers/faketime.ts";
import { settled } from "../check.ts";
import { Fleet } from "../fleet.ts";
import type { Instance } from "../instance.ts";
import { type Effort, generator, pause, type Scenario } from "../scenario.ts";
import { Turns } from "../turns.ts";

const AT_ONCE = 6;

/** So many threads, a few at once. */
async function threads(count: number, use: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await use(next++);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, lane));
}

/** Everything that a client may do to a thread, on two processes in turn. */
async function alternate(one: string, other: string): Promise<void> {
  const turns = await Turns.begin(one);
  await turns.run(one, other);
  await turns.run(other, one);
  await turns.stateWrite(one, other);
  await turns.stateWrite(other, one);
  await turns.streamed(one, other);
  await turns.streamed(other, one);
  await turns.run(one, other);
  await turns.checkHistory(other);
  await turns.fork(other, one);
  await turns.run(one, other);
  await turns.prune(other, one);
  await turns.run(one, other);
}

/** Runs that are under way on an instance when it is stopped. */
async function handOver(leaving: Instance, staying: Instance, count: number): Promise<void> {
  const all = Promise.withResolvers<void>();
  let begun = 0;
  const stop = async () => {
    if (++begun === count) void leaving.stop().then(() => all.resolve());
    await all.promise;
  };
  await Promise.all(
    Array.from({ length: count }, async () => {
      const turns = await Turns.begin(staying.url);
      await turns.run(staying.url, leaving.url);
      await turns.handedOver(leaving.url, { stop, reader: staying.url });
      await turns.run(staying.url, staying.url);
      await turns.checkHistory(staying.url);
    }),
  );
}

async function skewed(effort: Effort, what: { offsets: readonly string[]; count: number }): Promise<string> {
  await using fleet = await Fleet.start({ instances: 1, mutations: effort.mutations });
  const right = fleet.at(0);
  for (const offset of what.offsets) {
    const wrong = await fleet.add({ env: clock(offset) ?? {} });
    await threads(what.count, (i) => (i % 2 === 0 ? alternate(right.url, wrong.url) : alternate(wrong.url, right.url)));
    for (let left = what.count; left > 0; left -= AT_ONCE) {
      await handOver(wrong, right, Math.min(AT_ONCE, left));
      forgetClock(wrong.pid);
      if (left > AT_ONCE) await wrong.start();
    }
  }
  await settled(fleet);
  return `${what.offsets.length} offsets, ${what.count} threads each: 0 lost`;
}

async function stepped(effort: Effort): Promise<string> {
  const random = generator(effort.seed);
  const folder = mkdtempSync(join(tmpdir(), "fractal-clock-"));
  const files = ["a", "b"].map((name) => join(folder, name));
  const set = (file: string, offset: string) => writeFileSync(file, `${offset}\n`);
  for (const file of files) set(file, "+0");
  await using fleet = await Fleet.start({ instances: 0, mutations: effort.mutations });
  for (const file of files) await fleet.add({ env: steppedClock(file) ?? {} });
  let steps = 0;
  let serving = true;
  const stepping = (async () => {
    while (serving) {
      const offsets = ["-1h", "+1h", "-5", "-0.05", "+0"];
      set(files[Math.floor(random() * 2)] as string, offsets[Math.floor(random() * offsets.length)] as string);
      steps++;
      await pause(100 + random() * 200);
    }
  })();
  const [one, other] = [fleet.at(0), fleet.at(1)];
  const count = effort.n(4, 30);
  await threads(count, (i) => (i % 2 === 0 ? alternate(one.url, other.url) : alternate(other.url, one.url))).finally(
    () => {
      serving = false;
    },
  );
  await stepping;
  await settled(fleet);
  for (const { pid } of fleet.instances) forgetClock(pid);
  rmSync(folder, { recursive: true });
  return `${steps} steps, ${count} threads: 0 lost`;
}

export const CLOCKS: Scenario[] = [
  {
    name: "T-CLOCKS",
    proves: "I19: with a clock that is behind no acknowledged turn, state write or hand-over is lost",
    missing: canSkew(),
    run: (effort) => skewed(effort, { offsets: ["-1h"], count: effort.n(2, 30) }),
  },
  {
    name: "T-CLOCKSALL",
    proves: "I19: the same 1 h, 5 s and 50 ms behind and 1 h ahead",
    slow: true,
    missing: canSkew(),
    run: (effort) => skewed(effort, { offsets: ["-1h", "-5", "-0.05", "+1h"], count: effort.n(6, 30) }),
  },
  {
    name: "T-CLOCKSTEP",
    proves: "I19: the same while the clocks are set back and forth",
    slow: true,
    missing: canSkew(),
    run: stepped,
  },
];
