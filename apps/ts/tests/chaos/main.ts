// `npm run chaos -- --minutes N [--scenario T-KILL] [--seed S]`: the long form of the scenarios, again and again until the
// time is over, each with a seed that repeats it. Ends with 1 at the first that does not hold.
import { parseArgs } from "node:util";
import { SCENARIOS } from "./all.ts";
import { effort } from "./scenario.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    scenario: { type: "string", multiple: true, default: [] },
    seed: { type: "string" },
    short: { type: "boolean", default: false },
  },
});
const wanted = values.scenario;
const unknown = wanted.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name));
if (unknown.length > 0 || !(Number(values.minutes) > 0)) {
  process.stderr.write(
    `Unknown: ${unknown.join(", ") || values.minutes}. Scenarios: ${SCENARIOS.map(({ name }) => name).join(", ")}\n`,
  );
  process.exit(64);
}
// What the scenarios started ends with this process, however it is ended.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(130));
const chosen = SCENARIOS.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
const end = Date.now() + Number(values.minutes) * 60_000;
let seed = Number(values.seed ?? Date.now() % 1e9);
let done = 0;
const failed: string[] = [];
const say = (text: string) => process.stdout.write(`${text}\n`);

for (const { name, missing } of chosen) if (missing !== undefined) say(`${name}: skipped, ${missing}`);
const here = chosen.filter(({ missing }) => missing === undefined);
for (let i = 0; here.length > 0 && (i < here.length || Date.now() < end) && failed.length === 0; i++, seed++) {
  const scenario = here[i % here.length];
  if (scenario === undefined) break;
  const began = performance.now();
  try {
    const told = await scenario.run(effort(!values.short, seed));
    say(
      `${scenario.name}: held in ${Math.round((performance.now() - began) / 1000)} s (seed ${seed})${typeof told === "string" ? `; ${told}` : ""}`,
    );
    done++;
  } catch (error) {
    failed.push(scenario.name);
    say(
      `${scenario.name}: DOES NOT HOLD (--scenario ${scenario.name} --seed ${seed})\n${error instanceof Error ? error.stack : error}`,
    );
  }
}
say(`\n${done} held, ${failed.length} failed, ${chosen.length - here.length} skipped`);
// Servers that the scenarios share end with this process.
process.exit(failed.length === 0 ? 0 : 1);
