import { newId } from "@fractal-agents/infra/ids";
import { backoffMs, givenUp, POLICY, restartsAllowed } from "#core/runs/policy";
import type { SweepLimits, SweptRun } from "#core/runs/repository";
import { type RunRow, SELECT_RUN } from "../common/run-rows.ts";
import type { Connection } from "./connection.ts";
import { freeWriters, promote } from "./lane-state.ts";
import { endByCancel, giveUp, progressed, quarantine, requeueAfter, reread } from "./runs-recover.ts";

/** `RunRepository.sweep`, inside a transaction. `live`: workers that are there. */
export function sweepRuns(connection: Connection, live: readonly string[], limits: SweepLimits): SweptRun[] {
  const now = connection.now();
  const batch = limits.batch ?? Number.MAX_SAFE_INTEGER;
  freeWriters(connection, live, now - POLICY.writerMs);
  const dead = connection
    .sql(
      "select distinct worker from lanes where active_seq is not null and worker not in (select value from json_each(?)) " +
        "order by worker",
    )
    .all<{ worker: string }>(JSON.stringify(live));
  const swept: SweptRun[] = [];
  for (const { worker } of dead) {
    if (swept.length >= batch) return swept;
    const held = connection
      .sql(
        `${SELECT_RUN}join lanes l on l.thread = r.thread and l.active_seq = r.seq where r.status = 'running' ` +
          "and l.worker = ? order by r.seq",
      )
      .all<RunRow>(worker);
    swept.push(...suspectAll(connection, held));
  }
  if (limits.cancelGraceMs === undefined) return swept;
  const deaf = connection
    .sql(`${SELECT_RUN}where r.status = 'running' and r.cancel_at <= ? order by r.seq limit ?`)
    .all<RunRow>(now - limits.cancelGraceMs, Math.max(0, batch - swept.length));
  return swept.concat(deaf.map((row) => endByCancel(connection, row, row.cancel_action ?? "interrupt")));
}

/** All that a dead process executed, by age: what is not being cancelled is suspected, in two halves. */
function suspectAll(connection: Connection, held: readonly RunRow[]): SweptRun[] {
  const crash = newId();
  const suspects = held.filter(({ cancel_action }) => cancel_action === null);
  const half = Math.ceil(suspects.length / 2);
  const alone = held.length === 1;
  const swept = held.map((row) => {
    if (row.cancel_action !== null) return endByCancel(connection, row, row.cancel_action);
    const group = `${crash}/${suspects.indexOf(row) < half ? 1 : 2}`;
    return suspect(connection, row, { group, alone });
  });
  const marks = held.map(({ quarantine }) => quarantine);
  // Who died together with others that nobody suspected proves nothing about the rest of its group.
  if (marks.includes(null)) return swept;
  const crashes = [...new Set((marks as string[]).map((mark) => mark.slice(0, -2)))];
  const others = connection
    .sql(
      `${SELECT_RUN}where r.quarantine is not null and r.status in ('pending', 'running') and ` +
        "substr(r.quarantine, 1, length(r.quarantine) - 2) in (select value from json_each(?)) order by r.seq",
    )
    .all<RunRow>(JSON.stringify(crashes));
  return swept.concat(others.map((row) => exonerate(connection, row)));
}

function suspect(connection: Connection, row: RunRow, how: { group: string; alone: boolean }): SweptRun {
  const { group, alone } = how;
  const earlier = progressed(connection, row) ? 0 : row.strikes;
  const strikes = alone ? row.strikes + 1 : earlier;
  const restarts = row.restarts + (row.quarantine === null ? 1 : 0);
  if (alone && strikes >= row.max_attempts) return giveUp(connection, row, givenUp("ended", strikes));
  if (restarts > restartsAllowed(row.max_attempts)) return giveUp(connection, row, givenUp("suspected", restarts));
  quarantine(connection, row, { group, strikes, restarts });
  return requeueAfter(connection, row, alone ? backoffMs(strikes) : 0);
}

/** Other suspects of the same crash have died without it. */
function exonerate(connection: Connection, row: RunRow): SweptRun {
  connection
    .sql("update runs set quarantine = null, quarantine_until = null, strikes = 0, restarts = 0 where seq = ?")
    .run(row.seq);
  if (row.status === "pending") promoteIdle(connection, row.thread);
  return { run: reread(connection, row), result: "exonerated" };
}

function promoteIdle(connection: Connection, thread: number): void {
  const idle = connection.sql("select 1 from lanes where thread = ? and active is null").get(thread);
  if (idle !== undefined) promote(connection, thread);
}
