import type { Logger } from "@fractal-agents/infra/logger";
import type { Terminal } from "./terminal.ts";

export interface BannerFacts {
  version: string;
  /** "Bun 1.4.4" */
  engine: string;
  mode: "start" | "dev";
  /** Path of the langgraph.json, or what is served without one. */
  project: string;
  graphs: readonly { id: string; description?: string | undefined; error?: string | undefined }[];
  /** "sqlite .fractal/fractal.db" */
  storage: string;
  /** Processes on this address. */
  workers: number;
  /** Of the shipped agents; undefined where only a project's own graphs are served. */
  model: { name: string; fake: boolean; problem?: string } | undefined;
  url: string;
  warnings: readonly string[];
  /** Since the process began. */
  startedInMs: number;
}

/** What a person wants to know when the server is up, in the order in which they ask. */
export function renderBanner(facts: BannerFacts, { ansi }: Pick<Terminal, "ansi">): string {
  const row = (label: string, text: string) => `  ${ansi.dim(label.padEnd(9))}${text}`;
  const lines = [
    "",
    `  ${ansi.bold("Fractal Agents Runtime")} ${facts.version}  ${ansi.dim(`${facts.engine} · ready in ${facts.startedInMs} ms`)}`,
    "",
    row("URL", ansi.bold(ansi.cyan(facts.url))),
    row("Docs", ansi.cyan(`${facts.url}/docs`)),
    row("Project", facts.project),
    row("Storage", facts.storage),
    ...(facts.workers > 1 ? [row("Workers", `${facts.workers} processes on this port`)] : []),
    ...(facts.model === undefined ? [] : [row("Model", modelText(facts.model, ansi))]),
    ...graphRows(facts, { ansi, row }),
  ];
  if (facts.model?.fake === true) {
    lines.push("", `  ${ansi.yellow("No model key is set: the built-in demonstration model answers.")}`);
    lines.push(
      `  ${ansi.yellow("Set OPENAI_API_KEY, ANTHROPIC_API_KEY, GOOGLE_API_KEY or MODEL_NAME for a real one.")}`,
    );
  }
  if (facts.warnings.length > 0)
    lines.push("", ...facts.warnings.map((text) => `  ${ansi.yellow(`Warning: ${text}`)}`));
  return `${lines.join("\n")}\n\n`;
}

/** The banner for whoever reads one JSON object a line: what is served, then what is wrong with it. */
export function logReady(facts: BannerFacts, logger: Logger): void {
  const { model, startedInMs: ms, warnings, ...served } = facts;
  const graphs = facts.graphs.map(({ id }) => id);
  logger.info({ ...served, graphs, model: model?.name, ms }, "server is ready");
  for (const { id, error } of facts.graphs) if (error !== undefined) logger.error({ graph: id }, firstLine(error));
  if (model?.problem !== undefined) logger.error({ model: model.name }, model.problem);
  else if (model?.fake === true) logger.warn({ model: model.name }, "the built-in demonstration model answers");
  for (const warning of warnings) logger.warn({}, warning);
}

function modelText({ name, fake, problem }: NonNullable<BannerFacts["model"]>, ansi: Terminal["ansi"]): string {
  if (problem !== undefined) return `${name}  ${ansi.red(problem)}`;
  return fake ? ansi.yellow(`${name} (built in, for demonstration)`) : name;
}

function graphRows(
  { graphs }: BannerFacts,
  { ansi, row }: Pick<Terminal, "ansi"> & { row: (label: string, text: string) => string },
): string[] {
  if (graphs.length === 0) return [row("Graphs", ansi.red("none"))];
  const width = Math.max(...graphs.map(({ id }) => id.length));
  return graphs.flatMap(({ id, description, error }, i) => {
    const label = i === 0 ? "Graphs" : "";
    if (error === undefined)
      return [row(label, `${id.padEnd(width)}  ${ansi.dim(firstLine(description ?? ""))}`.trimEnd())];
    return [row(label, `${ansi.red(id.padEnd(width))}  ${ansi.red(firstLine(error))}`)];
  });
}

function firstLine(text: string): string {
  const line = text.split("\n", 1)[0] ?? "";
  return line.length > 110 ? `${line.slice(0, 109)}…` : line;
}

/** Every problem of a configuration at once, each on its line. */
export function renderProblems(problems: readonly string[], { ansi }: Pick<Terminal, "ansi">): string {
  const title =
    problems.length === 1 ? "The configuration has a problem:" : `The configuration has ${problems.length} problems:`;
  return `${ansi.red(title)}\n${problems.map((problem) => `  - ${problem}`).join("\n")}\n`;
}
