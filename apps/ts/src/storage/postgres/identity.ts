import type { ClientBase } from "pg";
import type { Timeline } from "#core/storage";
import { UnfitServerError, wasAnswered } from "./failures.ts";

/** How long a server may take to say who it is, ms. */
const ANSWER_MS = 5_000;

interface Answer {
  replica: boolean;
  readonly: boolean;
  pid: number;
  database: string;
  /** Null where the server does not say. */
  system: string | null;
  /** The name of the WAL file that is written begins with the timeline, in eight hexadecimal digits. */
  wal: string | null;
}

const BASE =
  "select pg_is_in_recovery() as replica, current_setting('transaction_read_only') = 'on' as readonly, " +
  "pg_backend_pid() as pid, (select oid::text from pg_database where datname = current_database()) as database, ";
/** Any role may ask this of a PostgreSQL; what only speaks its protocol may not know it. */
const WHOLE =
  `${BASE}(select system_identifier::text from pg_control_system()) as system, ` +
  "case when not pg_is_in_recovery() then pg_walfile_name(pg_current_wal_lsn()) end as wal";
const PLAIN = `${BASE}null as system, null as wal`;

export interface IdentityOptions {
  /** Whether sessions must be read-write by default (target_session_attrs). */
  readWrite?: boolean;
  /** Servers do not say which history they have: a replica that was promoted cannot be told from the primary. */
  onBlind?: (reason: Error) => void;
}

/**
 * Which database this process works on. Every new connection is asked: a replica is refused, and so is another database
 * or a primary of the past. A promoted replica goes on with what it had and begins a timeline: what this process knows
 * may be missing there.
 */
export class Identity implements Pick<Timeline, "number"> {
  readonly #options: IdentityOptions;
  readonly #listeners = new Set<() => void>();
  #statement = WHOLE;
  #known: { database: string; system: string | null; timeline: number } | undefined;
  #number = 0;
  readonly #direct = new WeakSet<ClientBase>();

  constructor(options: IdentityOptions = {}) {
    this.#options = options;
  }

  /** How often the timeline has changed. */
  get number(): number {
    return this.#number;
  }

  /** Calls back when the timeline has changed, before anything is asked of it. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Whether the backend that the connection was told of at its start executes its statements; not so behind a pooler. */
  isDirect(client: ClientBase): boolean {
    return this.#direct.has(client);
  }

  /** Rejects with UnfitServerError when the connection must not be used. */
  async check(client: ClientBase): Promise<void> {
    const answer = await this.#ask(client);
    if (answer.replica) throw new UnfitServerError("The database is a read-only replica");
    if (answer.readonly && this.#options.readWrite === true) throw new UnfitServerError("The database is read-only");
    if (answer.pid === (client as { processID?: unknown }).processID) this.#direct.add(client);
    this.#compare(answer);
  }

  async #ask(client: ClientBase): Promise<Answer> {
    const ask = async () => {
      const query = { text: this.#statement, query_timeout: ANSWER_MS };
      return (await client.query<Answer>(query)).rows[0] as Answer;
    };
    try {
      return await ask();
    } catch (error) {
      if (this.#statement === PLAIN || !wasAnswered(error)) throw error;
      this.#statement = PLAIN;
      this.#options.onBlind?.(error as Error);
      return ask();
    }
  }

  #compare({ database, system, wal }: Answer): void {
    const now = { database, system, timeline: Number.parseInt(wal?.slice(0, 8) ?? "0", 16) };
    const before = this.#known;
    if (before !== undefined) {
      if (before.database !== database || before.system !== system) {
        throw new UnfitServerError(
          "The database is another one than at the start; restart the server if that is meant",
        );
      }
      if (now.timeline < before.timeline) throw new UnfitServerError("The database is a primary of the past");
      if (now.timeline === before.timeline) return;
    }
    this.#known = now;
    if (before === undefined) return;
    this.#number++;
    for (const listener of this.#listeners) listener();
  }
}
