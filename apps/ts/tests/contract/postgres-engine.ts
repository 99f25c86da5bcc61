import pg from "pg";
import { migrate } from "#storage/postgres/migrate";
import { openPostgresStorage } from "#storage/postgres/open";
import { sharedPostgres } from "../servers/postgres.ts";
import type { Engine } from "./harness.ts";

/** The database's clock, ahead by what fractal_test.clock says. */
const CLOCK = `
  create schema fractal_test;
  create table fractal_test.clock (ahead bigint not null);
  insert into fractal_test.clock values (0);
  create or replace function fractal.now_ms() returns bigint language sql volatile as $$
    select (extract(epoch from clock_timestamp()) * 1000)::bigint + (select ahead from fractal_test.clock)
  $$;
`;

interface Bed {
  url: string;
  admin: pg.Client;
  /** Takes everything out of the database and winds its clock back. */
  empty: string;
}

/** Postgres: one database for all tests of a process, emptied before each. */
export const postgres: Engine = {
  name: "postgres",
  async open() {
    bed ??= makeBed();
    const { url, admin, empty } = await bed;
    await admin.query(empty);
    const storage = await openPostgresStorage({ url, pool: { min: 0, max: 8, timeoutMs: 10_000 }, prepare: true });
    return {
      storage,
      advance: async (ms) => {
        await admin.query("update fractal_test.clock set ahead = ahead + $1", [ms]);
      },
      close: async () => {
        await storage[Symbol.asyncDispose]();
      },
    };
  },
};

let bed: Promise<Bed> | undefined;

async function makeBed(): Promise<Bed> {
  const server = await sharedPostgres();
  const url = await server.createDatabase();
  await migrate(url);
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  await admin.query(CLOCK);
  const tables = await admin.query(
    "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = 'fractal' and tablename <> 'migrations'",
  );
  if (tables.rows.length === 0) throw new Error("the schema has no tables");
  // Tests leave few rows: deleting them is several times faster than `truncate`, which makes every file anew.
  const deletions = tables.rows.map(({ name }) => `delete from ${name};`).join(" ");
  const empty = `begin; set local session_replication_role = replica; ${deletions}
    update fractal_test.clock set ahead = 0; commit`;
  return { url, admin, empty };
}
