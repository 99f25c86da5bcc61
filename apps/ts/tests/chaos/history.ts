import { appendFileSync } from "node:fs";

export interface Entry {
  /** Unix ms. */
  wall: number;
  /** Monotonic ms of this process. */
  mono: number;
  who: string;
  kind: string;
  run?: string | undefined;
  thread?: string | undefined;
  /** Event id, status, instance: what the kind is about. */
  what?: string | undefined;
}

/** What clients and disturbers did and saw, in the order in which they told it; a line per entry in a file, if asked for. */
export class History {
  readonly entries: Entry[] = [];
  readonly #file: string | undefined;

  constructor(file?: string) {
    this.#file = file;
  }

  note(who: string, kind: string, about: Pick<Entry, "run" | "thread" | "what"> = {}): void {
    const entry: Entry = { wall: Date.now(), mono: performance.now(), who, kind, ...about };
    this.entries.push(entry);
    if (this.#file !== undefined) appendFileSync(this.#file, `${JSON.stringify(entry)}\n`);
  }

  of(kind: string): Entry[] {
    return this.entries.filter((entry) => entry.kind === kind);
  }
}

/**
 * A witness inside the database: every change of a run's status, and every row that a run wrote although its lane had
 * moved on. It sees what was committed, whatever the processes believe.
 */
export const WITNESS = `
create schema chaos;
create table chaos.transitions (nr bigint generated always as identity, at timestamptz not null default clock_timestamp(),
  run_id uuid, thread_id uuid, was text, status text, attempt integer, max_attempts integer, epoch bigint);
create table chaos.late (nr bigint generated always as identity, at timestamptz not null default clock_timestamp(),
  "table" text, thread_id uuid, run_id uuid, epoch bigint, lane_epoch bigint, lane_active uuid);
create function chaos.note_transition() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    insert into chaos.transitions (run_id, thread_id, was, status, attempt, max_attempts, epoch)
      values (old.run_id, old.thread_id, old.status, 'deleted', old.attempt, old.max_attempts, old.epoch);
    return old;
  end if;
  insert into chaos.transitions (run_id, thread_id, was, status, attempt, max_attempts, epoch)
    values (new.run_id, new.thread_id, case when tg_op = 'UPDATE' then old.status end, new.status, new.attempt, new.max_attempts, new.epoch);
  return new;
end $$;
create trigger chaos_runs after insert or update of status or delete on fractal.runs
  for each row execute function chaos.note_transition();
create function chaos.note_late() returns trigger language plpgsql as $$
declare l record;
begin
  if new.run_id is null then return new; end if;
  select epoch, active into l from fractal.lanes where thread_id = new.thread_id;
  if l.epoch is distinct from new.epoch or l.active is distinct from new.run_id then
    insert into chaos.late ("table", thread_id, run_id, epoch, lane_epoch, lane_active)
      values (tg_table_name, new.thread_id, new.run_id, new.epoch, l.epoch, l.active);
  end if;
  return new;
end $$;
create trigger chaos_checkpoints before insert on fractal.checkpoints for each row execute function chaos.note_late();
create trigger chaos_writes before insert on fractal.checkpoint_writes for each row execute function chaos.note_late();
create trigger chaos_events before insert on fractal.run_events for each row execute function chaos.note_late();
`;
