import fc from "fast-check";

/** Ports take UUIDs for threads, runs and writers: `kind` says which, in the first digit. */
export function idOf(kind: "run" | "thread" | "writer", n: number): string {
  const digit = { run: "a", thread: "b", writer: "c" }[kind];
  return `${digit}0000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
}

export const THREADS = [0, 1, 2].map((n) => idOf("thread", n));
export const WORKERS = ["w1", "w2"];

const thread = fc.constantFrom(...THREADS);
const worker = fc.constantFrom(...WORKERS);
/** Which run, counted back from the newest, and whether the fence is one epoch behind. */
const target = fc.record({
  back: fc.nat({ max: 5 }),
  stale: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.constant(1)),
});
const left = fc.record({ interrupted: fc.boolean(), unfinished: fc.boolean() });
const action = fc.constantFrom("interrupt" as const, "rollback" as const);

/**
 * All times that are compared with each other differ by whole seconds, or not at all: an engine's clock runs on while
 * the model's stands still, and must not make a difference.
 */
const command = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("create" as const),
      thread,
      strategy: fc.constantFrom("reject" as const, "enqueue" as const, "interrupt" as const, "rollback" as const),
      delay: fc.constantFrom(0, 0, 0, 2000),
      max: fc.integer({ min: 1, max: 4 }),
      priority: fc.constantFrom(-1 as const, 0 as const, 0 as const, 1 as const),
      ahead: fc.constantFrom(0, 0, 3000),
      claimant: fc.option(worker, { nil: undefined }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("claim" as const), worker, slots: fc.integer({ min: 0, max: 3 }) }),
  },
  fc.record({ do: fc.constant("claimRun" as const), worker, target }),
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("claimSuspects" as const), worker, slots: fc.integer({ min: 0, max: 3 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("finish" as const),
      target,
      status: fc.constantFrom("success" as const, "error" as const, "timeout" as const, "interrupted" as const),
      left,
    }),
  },
  fc.record({ do: fc.constantFrom("release" as const, "evict" as const, "write" as const), target }),
  fc.record({ do: fc.constant("retry" as const), target, cause: fc.constantFrom("fault" as const, "outage" as const) }),
  fc.record({ do: fc.constant("cancel" as const), target, action }),
  fc.record({ do: fc.constant("sweep" as const), grace: fc.constantFrom(undefined, undefined, 1500) }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant("register" as const), worker }) },
  fc.record({
    do: fc.constantFrom("remove" as const, "drain" as const, "beat" as const, "clearSuspects" as const),
    worker,
  }),
  fc.record({ do: fc.constant("acquire" as const), thread, worker: fc.option(worker, { nil: undefined }) }),
  fc.record({ do: fc.constant("complete" as const), thread, left: fc.option(left) }),
  fc.record({ do: fc.constant("advance" as const), ms: fc.constantFrom(1000, 2000, 3000, 61_000, 601_000) }),
);

export type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;

export const commands = fc.array(command, { minLength: 1, maxLength: 60, size: "max" });
