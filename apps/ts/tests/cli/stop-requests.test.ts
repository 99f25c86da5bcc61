import { describe, expect, it } from "bun:test";
import { EventEmitter } from "node:events";
import { createLogger } from "@fractal-agents/infra/logger";
import { watchFaults } from "../../src/compose/faults.ts";
import { type StopReason, StopRequests } from "../../src/compose/stop-requests.ts";
import { readSupervision } from "../../src/compose/supervision.ts";

describe("StopRequests", () => {
  it("takes equal signals within a second as one, and another signal as an order to stop at once", async () => {
    const source = new EventEmitter();
    const forced: string[] = [];
    const stop = new StopRequests(source, (signal) => forced.push(signal));
    source.emit("SIGINT");
    source.emit("SIGINT");
    expect(await stop.first).toEqual({ kind: "signal", signal: "SIGINT" });
    expect(forced).toEqual([]);
    source.emit("SIGTERM");
    expect(forced).toEqual(["SIGTERM"]);
    stop.close();
    expect(source.eventNames()).toEqual([]);
  });

  it("stops an orphan", async () => {
    const source = new EventEmitter();
    const stop = new StopRequests(source, () => undefined);
    source.emit("disconnect");
    expect(await stop.first).toEqual({ kind: "orphaned" });
    expect(stop.signalled).toBe(false);
  });

  it("does not take the first Ctrl-C during a reload for an order to stop at once", async () => {
    const source = new EventEmitter();
    const forced: string[] = [];
    const stop = new StopRequests(source, (signal) => forced.push(signal));
    stop.request({ kind: "reload", path: "a.ts" });
    source.emit("SIGINT");
    expect(await stop.first).toEqual({ kind: "reload", path: "a.ts" });
    expect([stop.signalled, forced]).toEqual([true, []]);
  });
});

describe("watchFaults", () => {
  function setUp() {
    const source = new EventEmitter();
    const lines: string[] = [];
    const reasons: StopReason[] = [];
    const exits: number[] = [];
    const ending = { yes: false };
    const faults = watchFaults({
      source,
      logger: createLogger({ level: "info", json: true, write: (line) => lines.push(line) }),
      currentRun: () => ({ run_id: "r1" }),
      stop: (reason) => reasons.push(reason),
      exit: (code) => exits.push(code),
      ending: () => ending.yes,
    });
    return { source, lines, reasons, exits, ending, faults };
  }

  it("logs and counts a rejection that nobody awaits, with its run, and goes on", () => {
    const { source, lines, reasons, faults } = setUp();
    source.emit("unhandledRejection", new Error("late"));
    source.emit("unhandledRejection", "text");
    expect(faults.rejections()).toBe(2);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ level: "error", run_id: "r1", err: { message: "late" } });
    expect(reasons).toEqual([]);
  });

  it("stops the server on an exception that nobody catches", () => {
    const { source, lines, reasons, faults } = setUp();
    const error = new Error("broken");
    source.emit("uncaughtException", error);
    expect(reasons).toEqual([{ kind: "fatal", error, run_id: "r1" }]);
    expect(lines[0]).toContain("broken");
    faults.close();
    expect(source.eventNames()).toEqual([]);
  });

  it("makes a failure of an exit that nobody asked for, whatever its code, and names the run", () => {
    const { source, lines, exits, ending } = setUp();
    source.emit("exit", 0);
    // A reload, had it been ours.
    source.emit("exit", 75);
    expect(exits).toEqual([1, 1]);
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { level: "fatal", code: 0, run_id: "r1" },
      { level: "fatal", code: 75, run_id: "r1" },
    ]);
    ending.yes = true;
    source.emit("exit", 0);
    expect([exits.length, lines.length]).toEqual([2, 2]);
  });
});

describe("readSupervision", () => {
  it("takes the supervisor's words out of the environment", () => {
    expect(
      readSupervision({
        FRACTAL_SUPERVISED: "crash",
        FRACTAL_LAST_PORT: "4000",
        FRACTAL_INTERNAL_WORKER: "2",
        FRACTAL_INTERNAL_PREDECESSOR: "w-1",
        FRACTAL_INTERNAL_FRONT: "1",
        A: "1",
      }),
    ).toEqual({
      env: { A: "1" },
      supervision: { restart: "crash", lastPort: 4000, predecessor: "w-1", worker: 2, fronted: true },
    });
    expect(readSupervision({ A: "1" }).supervision).toEqual({
      restart: undefined,
      lastPort: undefined,
      predecessor: undefined,
      fronted: false,
      worker: 1,
    });
  });
});
