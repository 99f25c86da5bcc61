import { parseArgs } from "node:util";
import type { Limits } from "./driver/load.ts";
import type { Scenario } from "./driver/scenarios.ts";
import type { ServerSpec } from "./servers/spawned.ts";
import { SUITES, type Suite } from "./suites.ts";

export type Options = {
  storage: string;
  suite: Suite;
  servers: readonly ServerSpec[];
  scenarios: readonly Scenario[];
  rounds: number;
  quick: boolean;
  write: boolean;
  strict: boolean;
  /** Tell which statements a run sends, instead of measuring. */
  statements: boolean;
  /** Measure the queue below HTTP too. */
  queue: boolean;
  warmUpSeconds: number;
  limits(clients: number): Limits;
};

const listed = (read: (suite: Suite) => readonly string[]): string =>
  Object.entries(SUITES)
    .map(([name, suite]) => `${name}: ${read(suite).join(", ")}`)
    .join("\n                     ");

export const HELP = `npm run bench -- [flags]

  --quick            one short round: shows that everything works, is no measurement
  --storage NAME     what our server keeps its data in: sqlite (default) or postgres
  --only LIST        servers; default all
                     ${listed(({ servers }) => servers.map(({ id }) => id))}
  --scenario LIST    default all
                     ${listed(({ scenarios }) => scenarios.map(({ name }) => name))}
  --rounds N         interleaved rounds, default 3
  --no-queue         leave out what is measured below HTTP (with --storage postgres)
  --statements       with --storage postgres: which statements a run sends, and nothing else
  --write            put the table and the machine into docs/benchmarks.md
  --strict           exit 1 when a figure misses its "must"
  --help
`;

export class UsageError extends Error {
  override name = "UsageError";
}

function pick<T>(all: readonly T[], nameOf: (item: T) => string, list: string | undefined): readonly T[] {
  if (list === undefined) return all;
  return list.split(",").map((name) => {
    const found = all.find((item) => nameOf(item) === name.trim());
    if (found === undefined) throw new UsageError(`"${name}" is not one of: ${all.map(nameOf).join(", ")}`);
    return found;
  });
}

/** A quick run sees one client only where a budget asks for it: each costs the rival a second. */
function shortened(scenario: Scenario): Scenario {
  const most = Math.max(...scenario.clients);
  return ["wait", "stream"].includes(scenario.name) ? scenario : { ...scenario, clients: [most] };
}

/** Reads the command line; throws UsageError with one sentence, undefined when only help was asked for. */
export function readOptions(args: string[]): Options | undefined {
  let flags: ReturnType<typeof parse>;
  try {
    flags = parse(args);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (flags.help === true) return undefined;
  const suite = SUITES[flags.storage];
  if (suite === undefined)
    throw new UsageError(`--storage takes ${Object.keys(SUITES).join(" or ")}, not "${flags.storage}"`);
  const postgres = flags.storage === "postgres";
  if (flags.statements === true && !postgres) throw new UsageError("--statements needs --storage postgres");
  const quick = flags.quick === true;
  const rounds = Number(flags.rounds ?? (quick ? 1 : 3));
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new UsageError(`--rounds takes a whole number from 1, not "${flags.rounds}"`);
  if (quick && flags.write === true)
    throw new UsageError("--quick is no measurement, so it cannot be written into the docs");
  const scenarios = pick(suite.scenarios, (scenario) => scenario.name, flags.scenario);
  return {
    storage: flags.storage,
    suite,
    statements: flags.statements === true,
    queue: postgres && flags["no-queue"] !== true && flags.only === undefined && flags.scenario === undefined,
    servers: pick(suite.servers, (server) => server.id, flags.only),
    scenarios: quick ? scenarios.map(shortened) : scenarios,
    rounds,
    quick,
    write: flags.write === true,
    strict: flags.strict === true,
    warmUpSeconds: quick ? 0 : 1.5,
    limits: (clients) =>
      quick
        ? { minSeconds: 0.25, maxSeconds: 1, minOps: clients }
        : { minSeconds: 2.5, maxSeconds: 8, minOps: Math.max(20, clients * 4) },
  };
}

function parse(args: string[]) {
  return parseArgs({
    args,
    options: {
      quick: { type: "boolean" },
      only: { type: "string" },
      scenario: { type: "string" },
      rounds: { type: "string" },
      storage: { type: "string", default: "sqlite" },
      "no-queue": { type: "boolean" },
      statements: { type: "boolean" },
      write: { type: "boolean" },
      strict: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  }).values;
}
