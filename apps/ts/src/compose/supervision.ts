/** What the supervisor (bin/supervisor.mjs) tells the server that it starts. */
export interface Supervision {
  /** Why this process was started; undefined: nobody would start it again. */
  restart: "first" | "crash" | "reload" | undefined;
  /** Port of the process before, or of the first worker: a restart keeps the address, and all workers have the same. */
  lastPort: number | undefined;
  /** Worker id of the process before, which is gone for certain. */
  predecessor: string | undefined;
  /** Which of the processes on one port this is, from 1. */
  worker: number;
  /** Another process listens for this one (development). */
  fronted: boolean;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Takes the supervisor's words out of the environment: they are for this process, not for those that it starts. */
export function readSupervision(from: Env): { env: Env; supervision: Supervision } {
  const {
    FRACTAL_SUPERVISED: reason,
    FRACTAL_LAST_PORT: port,
    FRACTAL_INTERNAL_WORKER: worker,
    FRACTAL_INTERNAL_PREDECESSOR: predecessor,
    FRACTAL_INTERNAL_FRONT: front,
    ...env
  } = from;
  const restart = reason === "first" || reason === "crash" || reason === "reload" ? reason : undefined;
  const lastPort = port ? Number(port) : undefined;
  return {
    env,
    supervision: {
      restart,
      lastPort,
      predecessor: predecessor || undefined,
      worker: Number(worker ?? 1),
      fronted: restart !== undefined && front === "1",
    },
  };
}
