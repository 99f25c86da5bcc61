import type { ArgsDef } from "citty";

/** sysexits.h: the command was used wrongly. */
export const EXIT_USAGE = 64;

/** Wrong arguments; the message is for the person who typed them. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** citty lets unknown options and surplus words pass; a typo must not start a server with other settings than meant. */
export function checkArguments(rawArgs: readonly string[], defs: ArgsDef): void {
  const options = optionNames(defs);
  const positionals = Object.values(defs).filter((def) => def.type === "positional").length;
  let words = 0;
  for (let i = 0; i < rawArgs.length; i++) {
    const arg = rawArgs[i] ?? "";
    if (!arg.startsWith("-") || arg === "-") {
      words += 1;
      if (words > positionals) throw new UsageError(`Unexpected argument "${arg}"`);
      continue;
    }
    const [name = "", value] = splitOption(arg, options);
    const type = options.get(name);
    if (type === undefined) throw new UsageError(`Unknown option "${name}"${suggestion(name, [...options.keys()])}`);
    if (type === "boolean" && value !== undefined) throw new UsageError(`The option "${name}" takes no value`);
    if (type === "boolean" || value !== undefined) continue;
    i += 1;
    const next = rawArgs[i];
    if (next === undefined || next.startsWith("-")) throw new UsageError(`The option "${name}" needs a value`);
  }
}

type OptionType = "boolean" | "string";

function optionNames(defs: ArgsDef): Map<string, OptionType> {
  const names = new Map<string, OptionType>([["--help", "boolean"]]);
  for (const [name, def] of Object.entries(defs)) {
    if (def.type === "positional") continue;
    const type = def.type === "boolean" ? "boolean" : "string";
    names.set(`--${name}`, type);
    if (type === "boolean") names.set(`--no-${name}`, type);
    for (const alias of [(def as { alias?: string | string[] }).alias ?? []].flat()) names.set(`-${alias}`, type);
  }
  return names;
}

/** `--port=1` and `-p1` hold their value themselves. */
function splitOption(arg: string, options: Map<string, OptionType>): [name: string, value?: string] {
  const equals = arg.indexOf("=");
  if (equals > 0) return [arg.slice(0, equals), arg.slice(equals + 1)];
  const short = arg.slice(0, 2);
  if (!arg.startsWith("--") && arg.length > 2 && options.get(short) === "string") return [short, arg.slice(2)];
  return [arg];
}

/** ` (did you mean "x"?)` for the nearest known name, or nothing. */
export function suggestion(word: string, known: readonly string[]): string {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best === undefined ? "" : ` (did you mean "${best}"?)`;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** @returns undefined when the option was not given. */
export function parsePort(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const port = Number(value);
  if (!/^\d{1,5}$/.test(value) || port > 65_535) {
    throw new UsageError(`"${value}" is not a port: give a number from 0 (any free port) to 65535`);
  }
  return port;
}

/** @returns undefined when the option was not given. */
export function parseWorkers(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const workers = Number(value);
  if (!/^\d{1,3}$/.test(value) || workers < 1 || workers > 256) {
    throw new UsageError(`"${value}" is not a number of workers: give one from 1 to 256`);
  }
  return workers;
}
