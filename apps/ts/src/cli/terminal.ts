import type { Ansi } from "@fractal-agents/infra/ansi";
import { createAnsi, wantsColour } from "@fractal-agents/infra/ansi";

/** Where the person reads: plain text to both channels, and what their terminal can show. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** Whether somebody is looking: standard output is a terminal. */
  readonly interactive: boolean;
  readonly ansi: Ansi;
}

interface Channel {
  readonly fd: number;
  readonly isTTY?: boolean;
}

export interface TerminalOptions {
  stdout: Channel;
  env: Readonly<Record<string, string | undefined>>;
  /** Synchronous, so that nothing is lost when the process ends right after. */
  write(fd: number, text: string): void;
}

export function createTerminal({ stdout, env, write }: TerminalOptions): Terminal {
  const interactive = stdout.isTTY === true;
  return {
    out: (text) => write(1, text),
    err: (text) => write(2, text),
    interactive,
    ansi: createAnsi(wantsColour(interactive, env)),
  };
}

/** Long enough that a normal start says nothing. */
const SLOW_MS = 1_000;

/** Says what is going on when it takes longer than a second, and how long it took in the end. */
export async function withProgress<T>(terminal: Terminal, label: string, work: Promise<T>): Promise<T> {
  const { ansi } = terminal;
  const startedAt = performance.now();
  let shown = false;
  const timer = setTimeout(() => {
    shown = true;
    terminal.out(ansi.dim(`  ${label} ...\n`));
  }, SLOW_MS);
  try {
    const result = await work;
    if (shown) terminal.out(ansi.dim(`  ${label}: ${((performance.now() - startedAt) / 1_000).toFixed(1)} s\n`));
    return result;
  } finally {
    clearTimeout(timer);
  }
}
