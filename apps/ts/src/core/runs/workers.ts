/** Which part of the work a process does (FRACTAL_ROLE): `api` answers requests and executes nothing, `worker` the reverse. */
export type Role = "all" | "api" | "worker";

/** A process as the others see it. */
export interface WorkerInfo {
  /** Fresh per start of the process, and again after it has lost its lease. */
  worker_id: string;
  /** For people: host name and process id. */
  instance: string;
  role: Role;
  version: string;
  /** Runs it executes at once. */
  capacity: number;
}

/** What a beat brings back. */
export interface Beat {
  /** Runs of this worker that somebody asked to stop; told again with every beat until they have ended. */
  cancels: { run_id: string; action: "interrupt" | "rollback" }[];
  /** Live processes on this database, this one included. */
  processes: number;
}

/**
 * Leases of processes, on the database's clock. A run is held by a worker, a worker by its lease: when that is over, the
 * next sweep gives its runs to others.
 */
export interface WorkerRepository {
  /** Announces a process; its lease is good for `ttlMs`. */
  register(worker: WorkerInfo, ttlMs: number): Promise<void>;
  /** Prolongs the lease. Undefined when it is over: what the worker holds is, or will be, somebody else's. */
  beat(workerId: string, ttlMs: number): Promise<Beat | undefined>;
  /** The worker claims nothing any more; what it runs stays its own. */
  drain(workerId: string): Promise<void>;
  /** Ends the lease at once. */
  remove(workerId: string): Promise<void>;
}

/** A lease that is being kept. */
export interface Lease {
  /** Stops beating and ends the lease. Never rejects: a lease that cannot be ended runs out. */
  end(): Promise<void>;
}

/**
 * Beats for a worker from outside the event loop, so that user code which blocks it does not cost the lease. Nothing to
 * do where one process has the database to itself.
 */
export interface LeaseKeeper {
  /**
   * Registers the worker and keeps its lease. `lost` is called once, when the lease is over or could not be prolonged
   * in time by this process's own monotonic clock: the worker must stop everything that it runs.
   */
  keep(worker: WorkerInfo, on: { beat(beat: Beat): void; lost(): void }): Promise<Lease>;
}
