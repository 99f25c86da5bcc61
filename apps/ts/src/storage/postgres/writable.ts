import type { Database } from "./database.ts";
import { codeOf } from "./failures.ts";

/** Needs room, as real writes do: an incompressible 16 KB. Never committed, so nobody sees it. */
const PROBE = `
insert into fractal.workers (worker_id, instance, role, version, capacity, draining, started_at, expires_at)
select 'write-probe-' || pg_backend_pid(), string_agg(md5(random()::text), ''), 'all', '', 0, true, 0, 0
from generate_series(1, 512)`;

class TakenBack extends Error {}

/** Whether the database takes writes: known from those that were refused, and from a trial once one was. */
export class WriteCheck {
  #refused = false;

  /** Every error of a statement comes here. 53100: the disk is full; 58: I/O; 25006: read-only. */
  note(error: unknown): void {
    const code = codeOf(error);
    if (code !== undefined && (code === "53100" || code === "25006" || code.startsWith("58"))) this.#refused = true;
  }

  /** Rejects with RuntimeError unavailable while writes are refused. */
  async prove(database: Database): Promise<void> {
    if (!this.#refused) return;
    try {
      await database.transaction(async (transaction) => {
        await transaction.rows(PROBE);
        throw new TakenBack();
      });
    } catch (error) {
      if (!(error instanceof TakenBack)) throw error;
    }
    this.#refused = false;
  }
}
