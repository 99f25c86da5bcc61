// Proofs over the SQLite file itself, by another reader than the server.
import { Database } from "bun:sqlite";
import { expect } from "bun:test";
import { join } from "node:path";

export interface Accepted {
  runId: string;
  threadId: string;
}

/** Runs that still have a future, stateless ones and those that wait for their time too. */
export function unfinished(dataDir: string): unknown[] {
  const db = new Database(join(dataDir, "fractal.db"), { readonly: true });
  try {
    return db.query("select run_id from runs where status in ('pending', 'running')").all();
  } finally {
    db.close();
  }
}

/** What must hold of the file at any moment at which the process may have died. */
export function checkFile(dataDir: string): void {
  const db = new Database(join(dataDir, "fractal.db"), { readonly: true });
  try {
    const doubled = db
      .query("select thread from runs where status = 'running' group by thread having count(*) > 1")
      .all();
    expect(doubled, "I2: two running runs on a thread").toEqual([]);
    for (const table of ["checkpoints", "checkpoint_writes", "run_events"]) {
      const ordered = `select id, epoch, max(epoch) over (partition by thread order by id) as highest from ${table}`;
      const late = db.query(`select id from (${ordered}) where epoch < highest limit 1`).all();
      expect(late, `I3: ${table} has a row of an epoch that was over`).toEqual([]);
    }
  } finally {
    db.close();
  }
}

/** What must hold once nothing is left to do; `rolledBack`: threads of which runs may be gone. */
export function checkRest(
  dataDir: string,
  load: { accepted: readonly Accepted[]; rolledBack: ReadonlySet<string> },
): void {
  const db = new Database(join(dataDir, "fractal.db"), { readonly: true });
  try {
    expect(db.query("pragma quick_check").get()).toEqual({ quick_check: "ok" });
    const stuck = db.query("select thread from lanes where active is not null or head_seq is not null").all();
    expect(stuck, "I5: a lane that nobody will free").toEqual([]);
    const known = new Set(
      db
        .query<{ run_id: string }, []>("select run_id from runs")
        .all()
        .map((row) => row.run_id),
    );
    const lost = load.accepted.filter(({ runId, threadId }) => !known.has(runId) && !load.rolledBack.has(threadId));
    expect(lost, "I1: an accepted run that is gone without a rollback").toEqual([]);
  } finally {
    db.close();
  }
}
