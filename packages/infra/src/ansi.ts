/** Terminal styles. Each function returns its text unchanged when colours are off, so callers never branch. */
export interface Ansi {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  blue(text: string): string;
  cyan(text: string): string;
}

/**
 * Colours only on a terminal; NO_COLOR (any non-empty value) switches them off, FORCE_COLOR (not empty, not "0") on
 * where there is no terminal, TERM=dumb off. NO_COLOR wins.
 */
export function wantsColour(terminal: boolean, env: Readonly<Record<string, string | undefined>>): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR && env.FORCE_COLOR !== "0") return true;
  return terminal && env.TERM !== "dumb";
}

export function createAnsi(enabled: boolean): Ansi {
  const style = (open: number, close: number) => (text: string) =>
    enabled && text !== "" ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return {
    bold: style(1, 22),
    dim: style(2, 22),
    red: style(31, 39),
    green: style(32, 39),
    yellow: style(33, 39),
    blue: style(34, 39),
    cyan: style(36, 39),
  };
}
