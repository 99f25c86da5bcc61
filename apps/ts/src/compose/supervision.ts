/** What the supervisor (bin/supervisor.mjs) tells the server that it starts. */
export interface Supervision {
  /** Why this process was started; undefined: nobody would start it again. */
  restart: "first" | "crash" | "reload" | undefined;
  /** Port of the process before, so that a server on a free port keeps its address over a restart. */
  lastPort: number | undefined;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Takes the supervisor's words out of the environment: they are for this process, not for those that it starts. */
export function readSupervision(from: Env): { env: Env; supervision: Supervision } {
  const { FRACTAL_SUPERVISED: reason, FRACTAL_LAST_PORT: port, ...env } = from;
  const restart = reason === "first" || reason === "crash" || reason === "reload" ? reason : undefined;
  return { env, supervision: { restart, lastPort: port ? Number(port) : undefined } };
}
