import { StorageError } from "#core/storage";
import { connectTo, Hosts } from "./hosts.ts";
import { Identity } from "./identity.ts";
import { MIGRATIONS, SCHEMA_VERSION } from "./migrations/index.ts";
import { type Asking, refuseUnfit } from "./requirements.ts";

export { SCHEMA_VERSION };

/** Any number that nobody else locks: the first bytes of "fractal". */
const LOCK = 0x66726163;

/**
 * Brings the schema to this server's version, in one transaction under a lock: of two that start together the second
 * finds it done. Only adds, so servers of the release before go on meanwhile; a schema that is newer is left alone.
 * Rejects with StorageError, or the driver's error (opening-failures.ts explains those).
 * @param lockMs How long to wait for each lock.
 * @returns Version before (undefined: there was none) and after.
 */
export async function migrate(url: string, lockMs = 10_000): Promise<{ from: number | undefined; to: number }> {
  const client = await connectTo(new Hosts(url), new Identity(), {
    application_name: "fractal migrate",
    connectionTimeoutMillis: 10_000,
  });
  try {
    await refuseUnfit(client);
    await client.query("begin");
    // Behind a statement that runs long, this would hold up everybody who comes after: rather fail, and be tried again.
    await client.query(`set local lock_timeout = ${lockMs}`);
    await client.query("select pg_advisory_xact_lock($1)", [LOCK]);
    const from = await schemaVersion(client);
    if (from === undefined) {
      // One that was made beforehand may belong to somebody who must not make others.
      const { rows } = await client.query("select to_regnamespace('fractal') is null as missing");
      if ((rows[0] as { missing: boolean }).missing) await client.query("create schema fractal");
      await client.query(
        "create table fractal.migrations (version integer primary key, compatible_from integer not null, " +
          "applied_at timestamptz not null default now())",
      );
    }
    for (const { version, compatibleFrom, sql } of MIGRATIONS) {
      if (version <= (from ?? 0)) continue;
      await client.query(sql);
      await client.query("insert into fractal.migrations (version, compatible_from) values ($1, $2)", [
        version,
        compatibleFrom,
      ]);
    }
    await client.query("commit");
    return { from, to: SCHEMA_VERSION };
  } finally {
    // Without a commit this takes everything back.
    await client.end();
  }
}

/** Undefined when there is no schema yet. */
export async function schemaVersion(client: Asking): Promise<number | undefined> {
  return (await schemaState(client))?.version;
}

/**
 * The newest step that was made, and the oldest server that can work with it. Throws StorageError when nobody can say:
 * the steps are noted in the transaction that makes them, so somebody else has emptied the table.
 */
export async function schemaState(client: Asking): Promise<{ version: number; compatibleFrom: number } | undefined> {
  const there = await client.query("select to_regclass('fractal.migrations') is not null as there");
  if (!(there.rows[0] as { there: boolean }).there) return undefined;
  const found = await client.query(
    "select version, compatible_from from fractal.migrations order by version desc limit 1",
  );
  const row = found.rows[0] as { version: number; compatible_from: number } | undefined;
  if (row === undefined) {
    throw new StorageError(
      "The table fractal.migrations is empty, so the version of the schema is not known: restore the table from a backup, or use an empty database.",
    );
  }
  return { version: row.version, compatibleFrom: row.compatible_from };
}
