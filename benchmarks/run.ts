/** `npm run bench`: see benchmarks/README.md. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HELP, type Options, readOptions, UsageError } from "./options.ts";
import { judge } from "./report/budgets.ts";
import { describeMachine } from "./report/machine.ts";
import { type Report, toMarkdown } from "./report/markdown.ts";
import { type Round, runRound } from "./rounds.ts";
import { BENCHMARKS, ROOT } from "./servers/catalogue.ts";
import { preparePeer } from "./servers/peer.ts";

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Puts the report between the two marks of docs/benchmarks.md and leaves the rest of the page alone. */
function writeIntoDocs(markdown: string): void {
  const page = join(ROOT, "docs/benchmarks.md");
  const text = readFileSync(page, "utf8");
  const [begin, end] = ["<!-- bench:begin -->", "<!-- bench:end -->"];
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from === -1 || to < from) throw new Error(`${page} lacks the marks ${begin} and ${end}`);
  writeFileSync(page, `${text.slice(0, from + begin.length)}\n${markdown}\n${text.slice(to)}`);
}

function writeJson(report: Report): string {
  const folder = join(BENCHMARKS, "results");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${report.date.replaceAll(":", "-")}.json`);
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  return file;
}

async function bench(options: Options): Promise<number> {
  if (options.servers.some((server) => server.id === "peer")) preparePeer(say);
  const rounds: Round[] = [];
  for (let i = 1; i <= options.rounds; i++) {
    say(`Round ${i} of ${options.rounds}`);
    rounds.push(await runRound(options, say));
  }
  const date = `${new Date().toISOString().slice(0, 19)}Z`;
  const report: Report = { date, quick: options.quick, machine: describeMachine(), rounds, verdicts: judge(rounds) };
  const markdown = toMarkdown(report);
  process.stdout.write(`${markdown}\n`);
  say(`Written: ${writeJson(report)}`);
  if (options.write) writeIntoDocs(markdown);
  return options.strict && report.verdicts.some(({ result }) => result === "FAIL") ? 1 : 0;
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(HELP);
  else process.exitCode = await bench(options);
} catch (error) {
  say(error instanceof UsageError ? `${error.message}\n\n${HELP}` : `The benchmark failed. ${(error as Error).stack}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
