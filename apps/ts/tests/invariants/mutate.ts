import { MIGRATIONS } from "#storage/postgres/migrations/index";

/** A change of the schema that must make the named check fail. */
export interface Mutation {
  name: string;
  /** Made when it is used, so that one that has to be adapted fails its own test. */
  sql(): string;
}

/** The definition of a function of the schema, as the migrations write it. */
export function definitionOf(name: string): string {
  const sql = MIGRATIONS.map((migration) => migration.sql).join("\n");
  const start = Math.max(
    sql.lastIndexOf(`create function fractal.${name}(`),
    sql.lastIndexOf(`create or replace function fractal.${name}(`),
  );
  if (start < 0) throw new Error(`the schema has no function fractal.${name}`);
  const body = sql.indexOf("$$", start);
  const end = sql.indexOf("$$;", body + 2) < 0 ? sql.indexOf("$$", body + 2) : sql.indexOf("$$;", body + 2);
  if (body < 0 || end < 0) throw new Error(`fractal.${name} has no body in dollar quotes`);
  return sql.slice(start, end + 2);
}

/** The same function with pieces of its text replaced; a piece that is not there is an error, not a pass. */
export function mutated(name: string, ...changes: [from: string, to: string][]): string {
  let text = definitionOf(name).replace(/^create function/, "create or replace function");
  for (const [from, to] of changes) {
    if (!text.includes(from))
      throw new Error(`fractal.${name} does not hold ${JSON.stringify(from)} any more: adapt the mutation`);
    text = text.replaceAll(from, to);
  }
  return text;
}
