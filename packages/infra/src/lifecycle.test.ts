import { describe, expect, it } from "bun:test";
import { Lifecycle } from "./lifecycle.ts";
import { createLogger } from "./logger.ts";

function setUp(graceMs = 5_000) {
  const lines: string[] = [];
  const logger = createLogger({ level: "info", json: true, write: (line) => lines.push(line) });
  const log: string[] = [];
  const lifecycle = new Lifecycle({ graceMs, logger });
  const part = (name: string) => ({
    name,
    start: () => void log.push(`+${name}`),
    stop: () => void log.push(`-${name}`),
  });
  return { lifecycle, log, lines, part };
}

describe("Lifecycle", () => {
  it("stops in reverse what it started in order", async () => {
    const { lifecycle, log, part } = setUp();
    lifecycle.add(part("storage")).add(part("engine"));
    await lifecycle.start();
    lifecycle.add(part("listener"));
    await lifecycle.start();
    expect(await lifecycle.stop()).toBe(true);
    expect(log).toEqual(["+storage", "+engine", "+listener", "-listener", "-engine", "-storage"]);
  });

  it("stops what had started when a start fails, and rejects with that error", async () => {
    const { lifecycle, log, part } = setUp();
    const broken = { name: "broken", start: () => Promise.reject(new Error("no disk")) };
    lifecycle.add(part("storage")).add(broken).add(part("listener"));
    await expect(lifecycle.start()).rejects.toThrow("no disk");
    await lifecycle.stop();
    expect(log).toEqual(["+storage", "-storage"]);
  });

  it("goes on stopping the others when one fails, and says so", async () => {
    const { lifecycle, log, lines, part } = setUp();
    lifecycle.add(part("storage")).add({ name: "engine", stop: () => Promise.reject(new Error("stuck lane")) });
    await lifecycle.start();
    expect(await lifecycle.stop()).toBe(false);
    expect(log).toEqual(["+storage", "-storage"]);
    expect(lines.join("")).toContain("stuck lane");
  });

  it("tells a slow part at the deadline to let go, and leaves a deaf one behind by name", async () => {
    const { lifecycle, log, lines, part } = setUp(10);
    const obedient = {
      name: "obedient",
      stop: (signal: AbortSignal) =>
        new Promise<void>((resolve) => {
          const letGo = () => {
            log.push("-obedient");
            resolve();
          };
          if (signal.aborted) letGo();
          else signal.addEventListener("abort", letGo);
        }),
    };
    lifecycle
      .add(part("storage"))
      .add(obedient)
      .add({ name: "deaf", stop: () => new Promise(() => undefined) });
    await lifecycle.start();
    expect(await lifecycle.stop()).toBe(false);
    expect(log).toEqual(["+storage", "-obedient", "-storage"]);
    expect(lines.join("")).toContain("deaf did not stop in time");
  });

  it("waits for the start under way when it is stopped in the middle of it", async () => {
    const { lifecycle, log, part } = setUp();
    const { promise, resolve } = Promise.withResolvers<void>();
    lifecycle.add({ name: "slow", start: () => promise, stop: () => void log.push("-slow") }).add(part("listener"));
    const starting = lifecycle.start();
    const stopping = lifecycle.stop();
    resolve();
    await starting;
    expect(await stopping).toBe(true);
    expect(log).toEqual(["-slow"]);
  });
});
