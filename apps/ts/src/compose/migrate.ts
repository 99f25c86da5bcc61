import { type CommandHost, readCommandConfig } from "./commands.ts";
import { EXIT } from "./exit-codes.ts";
import { explainFailure } from "./explain.ts";

/** Brings the schema of the configured database to what this program needs. @returns The exit code. */
export async function migrateCommand(request: { configPath: string | undefined }, host: CommandHost): Promise<number> {
  const { terminal } = host;
  try {
    const { database } = readCommandConfig(request.configPath, host);
    if (database === undefined) {
      terminal.out("No DATABASE_URI is set: the embedded database brings itself up to date when the server starts.\n");
      return EXIT.ok;
    }
    const { where } = database;
    const [{ migrate }, { explainOpening }] = await Promise.all([
      import("#storage/postgres/migrate"),
      import("#storage/postgres/opening-failures"),
    ]);
    const { from, to } = await migrate(database.url).catch((error: unknown) => {
      throw explainOpening(error, where);
    });
    terminal.out(`${where}: ${outcome(from, to)}\n`);
    return EXIT.ok;
  } catch (error) {
    return explainFailure(error, terminal, "The database could not be migrated");
  }
}

function outcome(from: number | undefined, to: number): string {
  if (from === undefined) return `the schema fractal was made, version ${to}`;
  if (from === to) return `the schema fractal has version ${to} already`;
  if (from > to)
    return `the schema fractal has version ${from}, which is newer than this program's ${to}; it was left as it is`;
  return `the schema fractal went from version ${from} to ${to}`;
}
