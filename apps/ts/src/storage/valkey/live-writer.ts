import type { ChainableCommander } from "ioredis";
import type { FencedWrite } from "#core/checkpoints/repository";
import type { Fence } from "#core/runs/fence";
import type { EventRow, RunRecord } from "#core/runs/repository";
import { endAfter, entriesOf, keyOf, type NewEntry } from "./entries.ts";
import type { Link } from "./link.ts";

/** Packs kept of a run, about. Who is further behind reads from the database. */
const PACKS_KEPT = 2000;
const KEPT_SECONDS = 600;
/** What may be on its way to a slow server, characters; beyond it packs are left out. */
const MOST_UNDERWAY = 16 * 1024 * 1024;
/** First attempts that have not spoken yet, at most; only a short cut is lost with one. */
const MOST_FIRST = 10_000;

/** Appends what is being committed to the streams of runs. Never waits, never fails: what is missing is in the database. */
export class LiveWriter {
  readonly #link: Link;
  /** Runs in their first attempt that have not spoken yet, and its epoch. */
  readonly #first = new Map<string, number>();
  #underway = 0;

  constructor(link: Link) {
    this.#link = link;
  }

  /** A run was claimed here. */
  claimed({ run_id, epoch, first_epoch, logged }: RunRecord): void {
    if (!logged || epoch !== first_epoch) return;
    if (this.#first.size >= MOST_FIRST) this.#first.delete(this.#first.keys().next().value as string);
    this.#first.set(run_id, epoch);
  }

  /** Appends the events of a batch. Returns the runs whose streams have grown. */
  append(batch: readonly FencedWrite[]): Set<string> {
    const grown = new Set<string>();
    const parcel = this.#parcel();
    for (const write of batch) {
      if (write.kind !== "events") continue;
      const { fence } = write;
      const first = this.#first.get(fence.runId) === fence.epoch;
      if (first) this.#first.delete(fence.runId);
      if (parcel === undefined) continue;
      const entries = entriesOf(ownRows(fence, write.rows), first);
      for (const entry of entries) add(parcel, keyOf(fence.runId), entry);
      if (entries.length > 0) grown.add(fence.runId);
    }
    if (parcel === undefined || grown.size === 0) return grown;
    for (const runId of grown) parcel.pipeline.expire(keyOf(runId), KEPT_SECONDS);
    this.#send(parcel);
    return grown;
  }

  /** The run is over, and stored as such; `rows`: its last events. A stream that does not exist is not begun for them. */
  end(fence: Fence, rows: readonly EventRow[]): void {
    const own = ownRows(fence, rows);
    const last = own[own.length - 1];
    if (last === undefined) {
      this.forget(fence.runId);
      return;
    }
    this.#first.delete(fence.runId);
    const parcel = this.#parcel();
    if (parcel === undefined) return;
    const key = keyOf(fence.runId);
    for (const entry of [...entriesOf(own, false), endAfter(last)]) add(parcel, key, entry, "NOMKSTREAM");
    parcel.pipeline.expire(key, KEPT_SECONDS);
    this.#send(parcel);
  }

  /** The run ended in another way, or is gone: readers are to ask the database. */
  forget(runId: string): void {
    this.#first.delete(runId);
    const parcel = this.#parcel();
    if (parcel === undefined) return;
    parcel.pipeline.del(keyOf(runId));
    this.#send(parcel);
  }

  /** Undefined when the server is away, or too far behind. */
  #parcel(): Parcel | undefined {
    if (!this.#link.up || this.#underway > MOST_UNDERWAY) return undefined;
    return { pipeline: this.#link.redis.pipeline(), size: 0 };
  }

  #send({ pipeline, size }: Parcel): void {
    this.#underway += size;
    pipeline
      .exec()
      .then((replies) => {
        const failure = replies?.find(([error]) => error !== null && !isRefusedId(error))?.[0];
        if (failure) this.#link.failed(failure);
      })
      .catch((error: Error) => this.#link.failed(error))
      .finally(() => {
        this.#underway -= size;
      });
  }
}

/** Commands that are sent together, and how many characters they carry. */
interface Parcel {
  pipeline: ChainableCommander;
  size: number;
}

function add(parcel: Parcel, key: string, ...[entry, ...how]: [NewEntry, ..."NOMKSTREAM"[]]): void {
  parcel.size += entry.size;
  parcel.pipeline.call("XADD", [key, ...how, "MAXLEN", "~", PACKS_KEPT, entry.id, ...entry.fields]);
}

/** A run speaks for itself and in its own attempt; anything else would not stand in its place. */
function ownRows({ runId, epoch }: Fence, rows: readonly EventRow[]): EventRow[] {
  return rows.filter((row) => row.run_id === runId && row.epoch === epoch);
}

/** The place is taken: by the same events, sent before, or by a later attempt. */
function isRefusedId({ message }: Error): boolean {
  return message.startsWith("ERR The ID specified in XADD");
}
