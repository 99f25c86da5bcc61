import { expect, it } from "bun:test";
import { RetentionTimer } from "./retention.ts";

/** A timer over batches of these sizes, told one by one; `next` resolves at the next batch. */
function timerOver(batches: (number | Error)[]) {
  const errors: unknown[] = [];
  let calls = 0;
  let wake = () => {};
  const timer = new RetentionTimer({
    sweep: async () => {
      const batch = batches[calls++] ?? 0;
      wake();
      if (batch instanceof Error) throw batch;
      return batch;
    },
    logger: { error: (fields: object) => void errors.push((fields as { err: unknown }).err) },
    everyMs: 1,
  });
  const reached = async (count: number) => {
    while (calls < count) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { timer, errors, reached, calls: () => calls };
}

it("clears away batch after batch, round after round, and a failed round stops none that follow", async () => {
  const failure = new Error("no room");
  const { timer, errors, reached } = timerOver([1_000, 1_000, 12, 0, failure, 5, 0]);
  timer.start();
  await reached(9);
  await timer.stop();
  expect(errors).toEqual([failure]);
});

it("stops after the batch under way, for the storage is closed next", async () => {
  const { timer, reached, calls } = timerOver(Array(100).fill(1));
  timer.start();
  await reached(3);
  await timer.stop();
  const stopped = calls();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(calls()).toBe(stopped);
  expect(stopped).toBeLessThan(100);
});
