import { parseArgs } from "node:util";
import type { Limits } from "./driver/load.ts";
import { SCENARIOS, type Scenario } from "./driver/scenarios.ts";
import { SERVERS } from "./servers/catalogue.ts";
import type { ServerSpec } from "./servers/spawned.ts";

export type Options = {
  servers: readonly ServerSpec[];
  scenarios: readonly Scenario[];
  rounds: number;
  quick: boolean;
  write: boolean;
  strict: boolean;
  warmUpSeconds: number;
  limits(clients: number): Limits;
};

export const HELP = `npm run bench -- [flags]

  --quick            one short round, under a minute: shows that everything works, is no measurement
  --only LIST        servers: ours, bare, peer (default: all three)
  --scenario LIST    ${SCENARIOS.map((s) => s.name).join(", ")} (default: all)
  --rounds N         interleaved rounds, default 3
  --storage sqlite   what our server keeps its data in
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
  return ["wait", "stream"].includes(scenario.name) ? scenario : { ...scenario, clients: [25] };
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
  if (flags.storage !== "sqlite")
    throw new UsageError(`storage "${flags.storage}" cannot be measured here yet; it is: sqlite`);
  const quick = flags.quick === true;
  const rounds = Number(flags.rounds ?? (quick ? 1 : 3));
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new UsageError(`--rounds takes a whole number from 1, not "${flags.rounds}"`);
  if (quick && flags.write === true)
    throw new UsageError("--quick is no measurement, so it cannot be written into the docs");
  const scenarios = pick(SCENARIOS, (scenario) => scenario.name, flags.scenario);
  return {
    servers: pick(SERVERS, (server) => server.id, flags.only),
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
      write: { type: "boolean" },
      strict: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  }).values;
}
