/** The variables a graph may look at. The composition root passes them in: graphs never read the process themselves. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The variable's value without surrounding space; empty counts as not set, as in an `.env` file with `NAME=`. */
export function readVariable(environment: Environment, name: string): string | undefined {
  const value = environment[name]?.trim();
  return value ? value : undefined;
}
