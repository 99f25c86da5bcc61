import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { GroupCommit } from "#core/checkpoints/group-commit";
import type { FencedWrite } from "#core/checkpoints/repository";
import { LeaseLostError } from "#core/errors";
import type { Fence } from "#core/runs/fence";
import { MemoryRepository } from "./memory-repository.ts";

let made = 0;

function write(fence: Fence, label: string): FencedWrite {
  return {
    kind: "events",
    fence,
    rows: [{ epoch: fence.epoch, n: made++, run_id: fence.runId, ns: "", mode: "custom", at: 0, data: label }],
  };
}

function labels(repository: MemoryRepository): string[] {
  return repository.events.map((event) => event.data);
}

async function outcome(promise: Promise<void>): Promise<string> {
  return promise.then(
    () => "written",
    (error: Error) => (error instanceof LeaseLostError ? "fenced" : error.message),
  );
}

describe("GroupCommit", () => {
  it("puts the writes of all runs of one turn into one transaction, each run's in order", async () => {
    const repository = new MemoryRepository();
    const commits = new GroupCommit(repository);
    const a = repository.grant("t1", "a");
    const b = repository.grant("t2", "b");
    await Promise.all([commits.submit(write(a, "a1")), commits.submit(write(b, "b1")), commits.submit(write(a, "a2"))]);
    expect(repository.commits.length).toBe(1);
    expect(labels(repository)).toEqual(["a1", "b1", "a2"]);
    expect(commits.pending("a")).toBe(0);
  });

  it("bounds a transaction by writes and by bytes", async () => {
    const repository = new MemoryRepository();
    const fence = repository.grant("t", "r");
    const byCount = new GroupCommit(repository, { maxWrites: 2 });
    await Promise.all(["1", "2", "3", "4", "5"].map((label) => byCount.submit(write(fence, label))));
    expect(repository.commits.map((batch) => batch.length)).toEqual([2, 2, 1]);
    repository.commits.length = 0;
    const byBytes = new GroupCommit(repository, { maxBytes: 10 });
    await Promise.all(["123456", "123456", "x".repeat(50), "1"].map((label) => byBytes.submit(write(fence, label))));
    expect(repository.commits.map((batch) => batch.length)).toEqual([1, 1, 1, 1]);
  });

  it("rejects a stale fence with LeaseLostError and writes the others", async () => {
    const repository = new MemoryRepository();
    const commits = new GroupCommit(repository);
    const stale = repository.grant("t1", "old");
    repository.grant("t1", "new");
    const good = repository.grant("t2", "b");
    const results = [commits.submit(write(stale, "s")), commits.submit(write(good, "g"))].map(outcome);
    expect(await Promise.all(results)).toEqual(["fenced", "written"]);
    expect(labels(repository)).toEqual(["g"]);
  });

  it("sends a locked lane's writes again, in order, without holding up other runs", async () => {
    const repository = new MemoryRepository();
    const commits = new GroupCommit(repository);
    const a = repository.grant("t1", "a");
    const b = repository.grant("t2", "b");
    repository.locked.add("t1");
    const first = commits.submit(write(a, "a1"));
    await commits.submit(write(b, "b1"));
    const second = commits.submit(write(a, "a2"));
    await commits.submit(write(b, "b2"));
    expect(labels(repository)).toEqual(["b1", "b2"]);
    repository.locked.clear();
    await Promise.all([first, second]);
    expect(labels(repository)).toEqual(["b1", "b2", "a1", "a2"]);
  });

  it("gives up a lane that stays locked", async () => {
    const repository = new MemoryRepository();
    const commits = new GroupCommit(repository, { lockedMs: 20 });
    repository.locked.add("t");
    const fence = repository.grant("t", "a");
    const results = [commits.submit(write(fence, "1")), commits.submit(write(fence, "2"))].map(outcome);
    expect(await Promise.all(results)).toEqual(Array(2).fill("The lane of thread t stayed locked"));
  });

  for (const isolates of [true, false]) {
    it(`rejects the write that cannot be stored and what its run wrote after it, nothing else (${isolates ? "answered" : "thrown"})`, async () => {
      const repository = new MemoryRepository();
      repository.isolates = isolates;
      const commits = new GroupCommit(repository);
      const a = repository.grant("t1", "a");
      const b = repository.grant("t2", "b");
      repository.poison = (one) => one.kind === "events" && one.rows[0]?.data === "a2";
      const results = ["a1", "a2", "a3"].map((label) => outcome(commits.submit(write(a, label))));
      const other = ["b1", "b2"].map((label) => outcome(commits.submit(write(b, label))));
      expect(await Promise.all(results)).toEqual(["written", "poisoned write", "poisoned write"]);
      expect(await Promise.all(other)).toEqual(["written", "written"]);
      expect(labels(repository).sort()).toEqual(["a1", "b1", "b2"]);
    });
  }

  it("flushes what was submitted, without waiting for a turn", async () => {
    const repository = new MemoryRepository();
    const commits = new GroupCommit(repository);
    const fence = repository.grant("t", "a");
    void commits.submit(write(fence, "1"));
    expect(commits.pending("a")).toBe(1);
    await commits.flush();
    expect(labels(repository)).toEqual(["1"]);
  });

  it("loses nothing and reorders nothing under locks, stale fences and failing transactions", async () => {
    const step = fc.record({
      lane: fc.nat(3),
      bad: fc.boolean(),
      lock: fc.boolean(),
      turn: fc.boolean(),
      steal: fc.nat(9),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const repository = new MemoryRepository();
        repository.poison = (one) => one.kind === "events" && one.rows.some((row) => row.data.endsWith("bad"));
        const commits = new GroupCommit(repository, { maxWrites: 3 });
        const fences = [0, 1, 2, 3].map((lane) => repository.grant(`t${lane}`, `r${lane}`));
        const results: { lane: number; label: string; result: Promise<string> }[] = [];
        for (const [i, one] of steps.entries()) {
          const fence = fences[one.lane] as Fence;
          if (one.lock) repository.locked.add(fence.threadId);
          else repository.locked.delete(fence.threadId);
          if (one.steal === 0) repository.grant(fence.threadId, "thief");
          const label = `${one.lane}:${i}${one.bad && one.steal > 6 ? " bad" : ""}`;
          results.push({ lane: one.lane, label, result: outcome(commits.submit(write(fence, label))) });
          if (one.turn) await new Promise((resolve) => setImmediate(resolve));
        }
        repository.locked.clear();
        const settled = await Promise.all(results.map(async (one) => ({ ...one, result: await one.result })));
        const written = settled.filter((one) => one.result === "written").map((one) => one.label);
        expect(labels(repository).sort()).toEqual([...written].sort());
        for (const lane of [0, 1, 2, 3]) {
          const mine = (label: string) => label.startsWith(`${lane}:`);
          expect(labels(repository).filter(mine)).toEqual(written.filter(mine));
        }
      }),
      { numRuns: 150 },
    );
  });
});
