import { StorageError } from "#core/storage";

/** Oldest server whose SQL we use. */
const FLOOR = 150_000;

export interface Asking {
  query(text: string): Promise<{ rows: unknown[] }>;
}

interface Server {
  number: number;
  version: string;
  replica: boolean;
  readonly: string;
  encoding: string;
}

/** Throws StorageError for a server or database that cannot be used as it is. @returns Its version, "15.18". */
export async function refuseUnfit(client: Asking): Promise<string> {
  const { rows } = await client.query(
    "select current_setting('server_version_num')::integer as number, pg_is_in_recovery() as replica, " +
      "split_part(current_setting('server_version'), ' ', 1) as version, " +
      "current_setting('transaction_read_only') as readonly, current_setting('server_encoding') as encoding",
  );
  const server = rows[0] as Server | undefined;
  if (server === undefined) throw new StorageError("The database answers nothing");
  if (server.number < FLOOR) {
    throw new StorageError(`PostgreSQL ${server.version} is too old: 15 or newer is needed.`);
  }
  if (server.replica) throw new StorageError("The database is a read-only replica: give the address of the primary.");
  if (server.readonly === "on") throw new StorageError("The database is read-only (default_transaction_read_only).");
  if (server.encoding !== "UTF8") {
    throw new StorageError(
      `The database stores texts as ${server.encoding}, which cannot hold every character: create it with encoding 'UTF8'.`,
    );
  }
  return server.version;
}

interface Rights {
  who: string;
  name: string;
  create: boolean;
  usage: boolean | null;
  extend: boolean | null;
  made: boolean;
  tables: string[];
  functions: string[];
}

/**
 * Each right by itself: asked for a list of them, PostgreSQL says whether one is held. Identity columns need no right on
 * their sequence. Only the catalogue is read, which needs no right either.
 */
const RIGHTS = `
  select quote_ident(current_user) as who, quote_ident(current_database()) as name,
    has_database_privilege(current_database(), 'CREATE') as create,
    has_schema_privilege(s.oid, 'USAGE') as usage, has_schema_privilege(s.oid, 'CREATE') as extend,
    exists (select from pg_class c where c.relnamespace = s.oid and c.relname = 'migrations') as made,
    array(select c.relname::text from pg_class c
      where c.relnamespace = s.oid and c.relkind in ('r', 'p') and not (has_table_privilege(c.oid, 'SELECT')
        and (c.relname = 'migrations' or has_table_privilege(c.oid, 'INSERT')
          and has_table_privilege(c.oid, 'UPDATE') and has_table_privilege(c.oid, 'DELETE')))
      order by c.relname) as tables,
    array(select p.proname::text from pg_proc p
      where p.pronamespace = s.oid and not has_function_privilege(p.oid, 'EXECUTE')
      order by p.proname) as functions
  from (values (1)) as always left join pg_namespace s on s.nspname = 'fractal'`;

/** What this user may not do and a server must, with the statement that allows it; undefined when nothing is missing. */
export async function missingRight(client: Asking): Promise<{ text: string; grant: string } | undefined> {
  const { who, name, ...may } = (await client.query(RIGHTS)).rows[0] as Rights;
  if (may.usage === null) {
    if (may.create) return undefined;
    return { text: `${who} may not create a schema in ${name}`, grant: `grant create on database ${name} to ${who}` };
  }
  // Only somebody who makes the tables needs CREATE: the servers may be another user's than the migration.
  if (!may.usage || (!may.made && may.extend !== true)) {
    const rights = may.made ? "usage" : "usage, create";
    return { text: `${who} may not use the schema fractal`, grant: `grant ${rights} on schema fractal to ${who}` };
  }
  if (may.tables.length > 0) {
    return {
      text: `${who} may not read and write all tables of the schema fractal (${some(may.tables)})`,
      grant: `grant select, insert, update, delete on all tables in schema fractal to ${who}`,
    };
  }
  if (may.functions.length > 0) {
    return {
      text: `${who} may not call all functions of the schema fractal (${some(may.functions)})`,
      grant: `grant execute on all functions in schema fractal to ${who}`,
    };
  }
  return undefined;
}

function some(names: readonly string[]): string {
  const more = names.length - 3;
  return more > 0 ? `${names.slice(0, 3).join(", ")} and ${more} more` : names.join(", ");
}
