import type { ArgsDef, CommandDef } from "citty";
import { defineCommand, renderUsage, runCommand } from "citty";
import { newProject } from "./new.ts";
import type { Terminal } from "./terminal.ts";
import { checkArguments, EXIT_USAGE, parsePort, parseWorkers, suggestion, UsageError } from "./usage.ts";

/** What `start` and `dev` ask of the composition root. */
export interface ServeRequest {
  mode: "start" | "dev";
  /** Undefined: from the configuration. 0 takes a free port. */
  port: number | undefined;
  host: string | undefined;
  /** Path of langgraph.json as typed; undefined: looked for in the working directory. */
  configPath: string | undefined;
  reload: boolean;
  browser: boolean;
  /** Processes on one port; undefined: from the configuration. */
  workers: number | undefined;
}

/** What the commands that look at the database ask. */
export interface DatabaseRequest {
  configPath: string | undefined;
  /** One JSON object instead of lines for a person. */
  json: boolean;
}

export interface CliDeps {
  version: string;
  /** Folder of the installed package (package.json, templates/). */
  packageRoot: string;
  cwd: string;
  terminal: Terminal;
  /** Resolves with the exit code when the server has stopped. */
  serve(request: ServeRequest): Promise<number>;
  /** Brings the schema of the database up to date. Resolves with the exit code, as does the next. */
  migrate(request: DatabaseRequest): Promise<number>;
  /** Looks for what would keep a server from working. */
  doctor(request: DatabaseRequest): Promise<number>;
}

const SERVE_ARGS = {
  port: {
    type: "string",
    alias: "p",
    description: "Port to listen on; 0 takes a free one (PORT, else 3000)",
    valueHint: "number",
  },
  host: {
    type: "string",
    alias: "h",
    description: "Address to listen on (HOST, else 127.0.0.1)",
    valueHint: "address",
  },
  config: { type: "string", alias: "c", description: "Configuration file (langgraph.json)", valueHint: "path" },
  supervisor: {
    type: "boolean",
    default: true,
    description: "Restart the server after a crash",
    negativeDescription: "Run the server directly, as in a container",
  },
} as const satisfies ArgsDef;

const START_ARGS = {
  ...SERVE_ARGS,
  workers: {
    type: "string",
    description: "Processes that share the port (FRACTAL_WORKERS, else 1); more than one needs PostgreSQL",
    valueHint: "number",
  },
} as const satisfies ArgsDef;

const DATABASE_ARGS = { config: SERVE_ARGS.config } as const satisfies ArgsDef;

const DOCTOR_ARGS = {
  ...DATABASE_ARGS,
  json: { type: "boolean", default: false, description: "One JSON object, for programs" },
} as const satisfies ArgsDef;

const DEV_ARGS = {
  ...SERVE_ARGS,
  reload: {
    type: "boolean",
    default: true,
    description: "Reload when a file changes",
    negativeDescription: "Never reload",
  },
  browser: {
    type: "boolean",
    default: true,
    description: "Open the page in a browser",
    negativeDescription: "Open no browser",
  },
} as const satisfies ArgsDef;

const NEW_ARGS = {
  dir: {
    type: "positional",
    required: false,
    default: "my-agent",
    description: "Folder of the new project",
    valueHint: "dir",
  },
} as const satisfies ArgsDef;

interface Served {
  port?: string | undefined;
  host?: string | undefined;
  config?: string | undefined;
  reload?: boolean | undefined;
  browser?: boolean | undefined;
  workers?: string | undefined;
}

// biome-ignore lint/suspicious/noExplicitAny: citty's own type for commands of mixed arguments
type Command = CommandDef<any>;

/** @returns The exit code: 0 done, 64 wrong usage, else what the command says. */
export async function runCli(argv: readonly string[], deps: CliDeps): Promise<number> {
  const commands = createCommands(deps);
  const [name, ...rest] = argv;
  const { terminal } = deps;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    const topic = name === "help" ? rest[0] : undefined;
    terminal.out(await usageText(topic, { commands, deps }));
    return name === undefined ? EXIT_USAGE : 0;
  }
  if (name === "--version" || name === "-v" || name === "-V") {
    terminal.out(`${deps.version}\n`);
    return 0;
  }
  try {
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (command === undefined) {
      const kind = name.startsWith("-") ? "option" : "command";
      throw new UsageError(`Unknown ${kind} "${name}"${suggestion(name, Object.keys(commands))}`);
    }
    if (asksForHelp(rest)) {
      terminal.out(await usageText(name, { commands, deps }));
      return 0;
    }
    checkArguments(rest, command.args as ArgsDef);
    const { result } = await runCommand(command, { rawArgs: [...rest] });
    return result as number;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const help = Object.hasOwn(commands, name) ? `fractal ${name} --help` : "fractal --help";
    terminal.err(`${terminal.ansi.red(error.message)}\nRun \`${help}\` to see what there is.\n`);
    return EXIT_USAGE;
  }
}

/** `-h` is short for `--host` only where a value follows. */
function asksForHelp(args: readonly string[]): boolean {
  return args.some((arg, i) => arg === "--help" || (arg === "-h" && (args[i + 1] ?? "-").startsWith("-")));
}

function createCommands(deps: CliDeps): Record<string, Command> {
  const serve = (mode: ServeRequest["mode"], args: Served) =>
    deps.serve({
      mode,
      port: parsePort(args.port),
      host: args.host,
      configPath: args.config,
      reload: mode === "dev" && args.reload !== false,
      browser: mode === "dev" && args.browser !== false,
      workers: parseWorkers(args.workers),
    });
  return {
    new: defineCommand({
      meta: { name: "new", description: "Make a small working LangGraph.js project" },
      args: NEW_ARGS,
      run: ({ args }) => newProject(args.dir, deps),
    }),
    dev: defineCommand({
      meta: { name: "dev", description: "Serve the graphs of langgraph.json, and reload when they change" },
      args: DEV_ARGS,
      run: ({ args }) => serve("dev", args),
    }),
    start: defineCommand({
      meta: { name: "start", description: "Serve the graphs of langgraph.json" },
      args: START_ARGS,
      run: ({ args }) => serve("start", args),
    }),
    migrate: defineCommand({
      meta: { name: "migrate", description: "Bring the schema of the PostgreSQL database up to date" },
      args: DATABASE_ARGS,
      run: ({ args }) => deps.migrate({ configPath: args.config, json: false }),
    }),
    doctor: defineCommand({
      meta: { name: "doctor", description: "Check the configuration, the database and what is between" },
      args: DOCTOR_ARGS,
      run: ({ args }) => deps.doctor({ configPath: args.config, json: args.json === true }),
    }),
  };
}

async function usageText(
  name: string | undefined,
  { commands, deps }: { commands: Record<string, Command>; deps: CliDeps },
): Promise<string> {
  const root = defineCommand({
    meta: {
      name: "fractal",
      version: deps.version,
      description: "A LangGraph-compatible agent server you can run yourself",
    },
    subCommands: commands,
  });
  const command = name === undefined ? undefined : commands[name];
  const text = command === undefined ? await renderUsage(root) : await renderUsage(command, root);
  // citty looks at the environment only, not at whether anybody reads this on a terminal.
  const plain = deps.terminal.ansi.bold("x") === "x";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what is taken out
  return `${plain ? text.replaceAll(/\u001b\[\d+m/g, "") : text}\n`;
}
