import type { RunRecord } from "#core/runs/repository";
import type { Storage } from "#core/storage";
import { ALICE, checkpoint, enlist, newRun, outcome, put, state } from "../contract/harness.ts";
import { type Command, idOf, THREADS, WORKERS } from "./commands.ts";
import type { LanesModel } from "./lanes-model.ts";

const CLAIM = (worker: string, slots: number) => ({ worker_id: worker, slots, graphs: ["agent"] });

/** What the engine answered and what the model says. */
export type Answers = [engine: unknown, model: unknown];

/** The model and the engine side by side; every step must give the same answer and leave the same picture. */
export class Pair {
  readonly #model: LanesModel;
  readonly #storage: Storage;
  readonly #advance: (ms: number) => Promise<void>;
  readonly #ids: string[] = [];
  readonly #writers = new Map<string, { id: string; epoch: number }>();
  #made = 0;
  #checkpoints = 0;

  constructor(engine: { storage: Storage; advance(ms: number): Promise<void> }, model: LanesModel) {
    this.#storage = engine.storage;
    this.#advance = (ms) => engine.advance(ms);
    this.#model = model;
  }

  async begin(): Promise<void> {
    for (const worker of WORKERS) {
      await enlist({ storage: this.#storage }, worker);
      this.#model.register(worker);
    }
  }

  /** The same step on both; returns their answers. */
  async step(c: Command): Promise<Answers> {
    switch (c.do) {
      case "create":
        return this.#create(c);
      case "finish":
        return this.#finish(c);
      case "claim":
      case "claimRun":
      case "claimSuspects":
      case "clearSuspects":
      case "sweep":
      case "register":
      case "remove":
      case "drain":
      case "beat":
        return this.#work(c);
      case "acquire":
      case "complete":
        return this.#write(c);
      case "advance":
        this.#model.now += c.ms;
        await this.#advance(c.ms);
        return [undefined, undefined];
      default:
        return this.#run(c);
    }
  }

  async #create(c: Command & { do: "create" }): Promise<Answers> {
    const { strategy, delay, max, priority, ahead, claimant } = c;
    const id = idOf("run", this.#made++);
    const run = newRun(c.thread, {
      run_id: id,
      multitask_strategy: strategy,
      after_seconds: delay / 1000,
      max_attempts: max,
      priority,
      ahead_ms: ahead,
    });
    const claim = claimant === undefined ? undefined : CLAIM(claimant, 1);
    const made = await this.#storage.runs.create(ALICE, run, claim);
    const expected = this.#model.create(c.thread, { id, strategy, delay, max, priority, ahead }, claimant);
    if (expected !== "busy") this.#ids.push(id);
    return [made.kind === "created" && made.claimed ? "claimed" : made.kind, expected];
  }

  async #finish(c: Command & { do: "finish" }): Promise<Answers> {
    const { id, fence } = this.#at(c.target);
    const { kind } = await this.#storage.runs.finish(fence, outcome({ status: c.status, state: stateOf(c.left) }));
    const run = this.#model.run(id);
    const expected = this.#model.finish(id, fence.epoch, { status: c.status, ...c.left });
    // An engine may know a finish that it has heard before, and say again how it went.
    const heard = expected === "fenced" && run?.status === c.status && run.epoch === fence.epoch;
    return [heard && kind === "finished" ? "fenced" : kind, expected];
  }

  async #work(
    c: Command & {
      do: "claim" | "claimRun" | "claimSuspects" | "clearSuspects" | "sweep" | "register" | "remove" | "drain" | "beat";
    },
  ): Promise<Answers> {
    const [model, { runs, workers }] = [this.#model, this.#storage];
    switch (c.do) {
      case "claim": {
        const claimed = await runs.claim(CLAIM(c.worker, c.slots));
        return [claimed.map((run) => run.run_id), model.claim(c.worker, c.slots)];
      }
      case "claimSuspects": {
        const claimed = await runs.claimSuspects(CLAIM(c.worker, c.slots));
        return [claimed.map((run) => run.run_id), model.claimSuspects(c.worker, c.slots)];
      }
      case "clearSuspects":
        return [await runs.clearSuspects(c.worker), model.clearSuspects(c.worker)];
      case "claimRun": {
        const { id } = this.#at(c.target);
        return [(await runs.claimRun(CLAIM(c.worker, 1), id))?.run_id, model.claimRun(c.worker, id)];
      }
      case "sweep": {
        const swept = await runs.sweep({ cancelGraceMs: c.grace });
        return [swept.map((lost) => `${lost.run.run_id} ${lost.result}`).sort(), model.sweep(c.grace)];
      }
      case "beat": {
        const beat = await workers.beat(c.worker, 1_000_000_000);
        return [beat?.cancels.map(({ run_id, action }) => `${run_id} ${action}`).sort(), model.beat(c.worker)];
      }
      case "register":
        // A worker registers once; after its end it may come back.
        if (model.isThere(c.worker)) return [undefined, undefined];
        await enlist({ storage: this.#storage }, c.worker);
        return [undefined, model.register(c.worker)];
      default:
        await workers[c.do](c.worker);
        return [undefined, model[c.do](c.worker)];
    }
  }

  async #run(c: Command & { do: "release" | "retry" | "evict" | "write" | "cancel" }): Promise<Answers> {
    const [model, { runs, checkpoints }] = [this.#model, this.#storage];
    const { id, fence } = this.#at(c.target);
    switch (c.do) {
      case "release":
        return [(await runs.release(fence))?.result, model.release(id, fence.epoch)];
      case "retry":
        return [
          (await runs.retry(fence, { error: "E", message: "" }, c.cause))?.result,
          model.retry(id, fence.epoch, c.cause),
        ];
      case "evict":
        return [(await runs.evict(fence))?.result, model.evict(id, fence.epoch)];
      case "write": {
        const row = checkpoint(fence, `c${this.#checkpoints++}`);
        const [answer] = await checkpoints.commit([put(fence, row)]);
        return [answer, model.write(id, fence.epoch) ? "written" : "fenced"];
      }
      case "cancel":
        return [(await runs.cancel(ALICE, { run_id: id }, c.action))?.result, model.cancel(id, c.action)];
    }
  }

  async #write(c: Command & { do: "acquire" | "complete" }): Promise<Answers> {
    const [model, { lanes }] = [this.#model, this.#storage];
    if (c.do === "acquire") {
      const id = idOf("writer", THREADS.indexOf(c.thread));
      const fence = await lanes.acquire(ALICE, c.thread, { writer_id: id, worker_id: c.worker });
      const expected = model.acquire(c.thread, c.worker);
      if (typeof expected === "number") this.#writers.set(c.thread, { id, epoch: expected });
      return [typeof fence === "string" ? fence : fence.epoch, expected];
    }
    const { id, epoch } = this.#writers.get(c.thread) ?? { id: idOf("writer", 99), epoch: 1 };
    const fence = { threadId: c.thread, runId: id, epoch };
    const expected = model.complete(c.thread, epoch, c.left ?? undefined);
    if (c.left === null) {
      await lanes.abandon(fence);
      return [expected, expected];
    }
    const change = { scope: "", state: stateOf(c.left), metadata: {}, events: [] };
    return [(await lanes.complete(fence, change)) !== "fenced", expected];
  }

  /** What anybody can see of runs, threads and the queue. */
  async picture(): Promise<Answers> {
    const [engine, expected]: [unknown[], unknown[]] = [[], []];
    const seen = new Map<string, unknown>();
    for (const id of THREADS) {
      engine.push([id, (await this.#storage.threads.find(ALICE, id))?.status]);
      const thread = this.#model.threads.get(id);
      // While a state write holds the lane, a delayed run that becomes due is noticed when the write is over.
      expected.push(thread?.holder === "writer" ? engine.at(-1) : [id, this.#model.status(id)]);
      const page = await this.#storage.runs.list(ALICE, id, { limit: 100, offset: 0 });
      for (const run of page.items) {
        const { strikes, restarts } = run;
        const counted = { strikes, restarts, suspect: isSuspect(run) };
        seen.set(run.run_id, [run.run_id, run.status, run.attempt, run.epoch, run.cancel_action, counted]);
      }
    }
    for (const id of this.#ids) {
      engine.push(seen.get(id) ?? [id]);
      const twin = this.#model.run(id);
      if (twin === undefined) {
        expected.push([id]);
        continue;
      }
      const counted = { strikes: twin.strikes, restarts: twin.restarts, suspect: twin.group !== undefined };
      expected.push([id, twin.status, twin.attempt, twin.epoch, twin.cancel, counted]);
    }
    const { pending, running, ready, quarantined } = await this.#storage.runs.counts();
    engine.push({ pending, running, ready, quarantined });
    expected.push(this.#model.counts());
    return [engine, expected];
  }

  #at(where: { back: number; stale: number }) {
    const id = this.#ids.at(-1 - (where.back % Math.max(1, this.#ids.length))) ?? idOf("run", 999);
    const run = this.#model.run(id);
    const threadId = run?.thread ?? (THREADS[0] as string);
    return { id, fence: { threadId, runId: id, epoch: (run?.epoch ?? 0) - where.stale } };
  }
}

/** The mark of a run that has ended means nothing. */
function isSuspect({ status, quarantine }: RunRecord): boolean {
  return quarantine !== null && (status === "pending" || status === "running");
}

function stateOf(kept: { interrupted: boolean; unfinished: boolean }) {
  return state({}, { interrupts: kept.interrupted ? { task: [{ value: 1 }] } : {}, pending: kept.unfinished });
}
