import { expect } from "bun:test";
import { SseReader } from "../runs/sse-client.ts";
import { ask, post } from "./client.ts";

// biome-ignore lint/suspicious/noExplicitAny: answers are judged by the tests
type Answer = any;

const BODY = { assistant_id: "steps" };
const MODES = ["values", "checkpoints", "debug", "tasks"];

/** A thread that is written to by processes in turn, and what must be in it: one entry of `log` per acknowledged write. */
export class Turns {
  readonly threadId: string;
  /** Entries that the state must have. */
  #log: string[] = [];

  private constructor(threadId: string) {
    this.threadId = threadId;
  }

  static async begin(url: string): Promise<Turns> {
    return new Turns((await ask(url, "/threads", {})).thread_id);
  }

  get #path(): string {
    return `/threads/${this.threadId}`;
  }

  /** A run of one step, and the state as another process reads it. */
  async run(url: string, reader: string): Promise<void> {
    const values = await ask(url, `${this.#path}/runs/wait`, { ...BODY, input: { steps: 0 } });
    this.#log.push(`step-${this.#log.length + 1}`);
    expect(values.log, "I19: the answer of a turn").toEqual(this.#log);
    await this.check(reader, "a turn");
  }

  async stateWrite(url: string, reader: string): Promise<void> {
    const entry = `written-${this.#log.length + 1}`;
    const made = await ask(url, `${this.#path}/state`, { values: { count: 1, log: [entry] }, as_node: "step" });
    this.#log.push(entry);
    const state = await this.check(reader, "a state write");
    expect(state.checkpoint.checkpoint_id, "I19: the head after a state write").toBe(made.checkpoint.checkpoint_id);
  }

  async check(reader: string, after: string): Promise<Answer> {
    const state = await ask(reader, `${this.#path}/state`);
    expect(state.values.log, `I19: the state after ${after}`).toEqual(this.#log);
    return state;
  }

  /** A streamed run: the ids that its events name are those that are stored. */
  async streamed(url: string, reader: string): Promise<void> {
    const body = { ...BODY, input: { steps: 0 }, stream_mode: MODES };
    const reading = new SseReader(await post(url, `${this.#path}/runs/stream`, body));
    const events = await reading.readUntil(() => false);
    this.#log.push(`step-${this.#log.length + 1}`);
    const state = await this.check(reader, "a streamed turn");
    const told = events.filter(({ event }) => event === "checkpoints").map(({ data }) => data as Answer);
    const debug = events.filter(({ event, data }) => event === "debug" && (data as Answer).type === "checkpoint");
    expect(told.at(-1).checkpoint.checkpoint_id, "I19: the last id of a stream").toBe(state.checkpoint.checkpoint_id);
    expect(debug.map(({ data }) => (data as Answer).payload.checkpoint)).toEqual(told.map((each) => each.checkpoint));
    const history = new Map((await this.#history(reader)).map((each) => [each.checkpoint.checkpoint_id, each]));
    for (const { checkpoint, parent_checkpoint: parent } of told) {
      const stored = history.get(checkpoint.checkpoint_id);
      expect(stored, "I19: an id of a stream is in the history").toBeDefined();
      expect(stored.parent_checkpoint?.checkpoint_id).toBe(parent?.checkpoint_id);
    }
  }

  #history(url: string, query = "limit=1000"): Promise<Answer[]> {
    return ask(url, `${this.#path}/history?${query}`);
  }

  /** Newest first, each id above its parent's, and the same in pages. */
  async checkHistory(url: string): Promise<void> {
    const history = await this.#history(url);
    const ids: string[] = history.map(({ checkpoint }) => checkpoint.checkpoint_id);
    const parents = history.map(({ parent_checkpoint: parent }) => parent?.checkpoint_id);
    expect(parents, "I19: the history is the chain of parents").toEqual([...ids.slice(1), undefined]);
    expect(ids, "I19: no id sorts below its parent's").toEqual([...ids].sort().reverse());
    const paged: string[] = [];
    for (let before = ""; ; before = `&before=${paged.at(-1)}`) {
      const page = await this.#history(url, `limit=4${before}`);
      if (page.length === 0) break;
      paged.push(...page.map(({ checkpoint }) => checkpoint.checkpoint_id));
    }
    expect(paged, "I19: the history in pages").toEqual(ids);
  }

  /** A run from an older checkpoint: the thread goes on from there. */
  async fork(url: string, reader: string): Promise<void> {
    const older = (await this.#history(reader)).find((each) => each.next.length === 0 && each.values.log.length === 2);
    const checkpoint = { checkpoint_id: older.checkpoint.checkpoint_id };
    const values = await ask(url, `${this.#path}/runs/wait`, { ...BODY, input: { steps: 0 }, checkpoint });
    this.#log = [...older.values.log, "step-3"];
    expect(values.log, "I19: the answer of a fork").toEqual(this.#log);
    await this.check(reader, "a fork");
    await this.run(reader, url);
  }

  async prune(url: string, reader: string): Promise<void> {
    await ask(url, "/threads/prune", { thread_ids: [this.threadId], strategy: "keep_latest" });
    await this.check(reader, "a prune");
    expect((await this.#history(reader)).length, "I19: what a prune leaves").toBe(1);
    await this.run(url, reader);
  }

  /** A run of several steps whose process is stopped meanwhile. */
  async handedOver(url: string, others: { stop: () => Promise<unknown>; reader: string }): Promise<void> {
    const steps = this.#log.length + 10;
    const { run_id: runId } = await ask(url, `${this.#path}/runs`, { ...BODY, input: { steps, ms: 60 } });
    await others.stop();
    const values = await ask(others.reader, `${this.#path}/runs/${runId}/join`);
    for (let n = this.#log.length + 1; n <= steps; n++) this.#log.push(`step-${n}`);
    expect(values.log, "I19: the answer of a hand-over").toEqual(this.#log);
    await this.check(others.reader, "a hand-over");
  }
}
