/**
 * A guard for CI: CPU per run of our server over that of the bare server, in the same job on the same machine, so that a slow or
 * noisy runner changes both. The limit is loose (2.0x, where docs/benchmarks.md promises 1.5x): it catches a mistake, not a per cent.
 */

import { SCENARIOS } from "./driver/scenarios.ts";
import { cellReading, ratio } from "./report/summary.ts";
import { type Plan, type Round, runRound } from "./rounds.ts";
import { BARE, OURS } from "./servers/catalogue.ts";
import { PROC_AVAILABLE } from "./servers/proc.ts";

const LIMIT = 2.0;
const ROUNDS = 3;
const CLIENTS = 25;
const GUARDED = ["wait", "stream"];

const plan: Plan = {
  servers: [OURS, BARE],
  scenarios: SCENARIOS.filter(({ name }) => GUARDED.includes(name)).map((scenario) => ({
    ...scenario,
    clients: [CLIENTS],
  })),
  quick: true,
  warmUpSeconds: 1,
  limits: () => ({ minSeconds: 2, maxSeconds: 6, minOps: 100 }),
};

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function guard(): Promise<number> {
  if (!PROC_AVAILABLE) {
    say("The guard reads CPU time from /proc and needs Linux.");
    return 2;
  }
  const rounds: Round[] = [];
  for (let i = 1; i <= ROUNDS; i++) {
    say(`Round ${i} of ${ROUNDS}`);
    rounds.push(await runRound(plan, say));
  }
  const failures = rounds.flatMap((round) => round.failures);
  for (const failure of failures) say(`FAIL ${failure}`);
  let code = failures.length === 0 ? 0 : 1;
  for (const name of GUARDED) {
    const { value, lowest, highest } = ratio(
      rounds,
      { over: "ours", under: "bare" },
      cellReading(name, CLIENTS, "cpuMs"),
    );
    const good = value <= LIMIT;
    say(
      `${good ? "PASS" : "FAIL"} CPU per ${name} run: ${value.toFixed(2)}x the bare server (rounds ${lowest.toFixed(2)} to ${highest.toFixed(2)}), limit ${LIMIT}x`,
    );
    if (!good) code = 1;
  }
  return code;
}

try {
  process.exitCode = await guard();
} catch (error) {
  say(`The guard failed. ${(error as Error).stack}`);
  process.exitCode = 1;
}
