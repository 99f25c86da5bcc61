/** `npm run bench`: see benchmarks/README.md. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HELP, type Options, readOptions, UsageError } from "./options.ts";
import { measureQueue } from "./queue/measure.ts";
import { tellStatements } from "./queue/statements.ts";
import { judge } from "./report/budgets.ts";
import { describeMachine } from "./report/machine.ts";
import { type Report, toMarkdown } from "./report/markdown.ts";
import { type Round, runRound } from "./rounds.ts";
import { BENCHMARKS, ROOT } from "./servers/catalogue.ts";
import { preparePeer } from "./servers/install.ts";

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Puts the report between the two marks of its storage in docs/benchmarks.md and leaves the rest of the page alone. */
function writeIntoDocs(storage: string, markdown: string): void {
  const page = join(ROOT, "docs/benchmarks.md");
  const text = readFileSync(page, "utf8");
  const [begin, end] = [`<!-- bench:begin ${storage} -->`, `<!-- bench:end ${storage} -->`];
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from === -1 || to < from) throw new Error(`${page} lacks the marks ${begin} and ${end}`);
  writeFileSync(page, `${text.slice(0, from + begin.length)}\n${markdown}\n${text.slice(to)}`);
}

function writeJson(report: Report): string {
  const folder = join(BENCHMARKS, "results");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${report.date.replaceAll(":", "-")}-${report.storage}.json`);
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  return file;
}

async function bench(options: Options): Promise<number> {
  const { suite, storage, quick, servers, scenarios } = options;
  if (options.statements) {
    process.stdout.write(`${await tellStatements(say)}\n`);
    return 0;
  }
  for (const { id } of servers) if (suite.peers[id] !== undefined) preparePeer(suite.peers[id], say);
  const rounds: Round[] = [];
  for (let i = 1; i <= options.rounds; i++) {
    say(`Round ${i} of ${options.rounds}`);
    rounds.push(await runRound(options, say));
  }
  const queue = options.queue ? await measureQueue({ quick, say }) : undefined;
  const date = `${new Date().toISOString().slice(0, 19)}Z`;
  const verdicts = judge(rounds, suite.budgets);
  const measured = new Set(servers.map(({ id }) => id));
  const ratios = suite.ratios.filter(({ over, under }) => measured.has(over) && measured.has(under));
  const layout = { servers, scenarios, ratios };
  const report: Report = { date, storage, quick, machine: describeMachine(rounds), rounds, verdicts, layout, queue };
  const markdown = toMarkdown(report);
  process.stdout.write(`${markdown}\n`);
  say(`Written: ${writeJson(report)}`);
  const failed = rounds.some(({ failures }) => failures.length > 0) || (queue?.failures.length ?? 0) > 0;
  if (options.write && failed) say("Not written into the docs: something failed.");
  else if (options.write) writeIntoDocs(storage, markdown);
  return failed || (options.strict && verdicts.some(({ result }) => result === "FAIL")) ? 1 : 0;
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(HELP);
  else process.exitCode = await bench(options);
} catch (error) {
  say(error instanceof UsageError ? `${error.message}\n\n${HELP}` : `The benchmark failed. ${(error as Error).stack}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
