/** Something that other processes may want to know sooner than their next look at the database. */
export type Hint =
  /** A run may be due. */
  | { kind: "wake" }
  /** A running run was asked to stop. */
  | { kind: "cancel"; run_id: string; action: "interrupt" | "rollback" }
  /** The log of a run has grown, or the run is over. */
  | { kind: "log"; run_id: string }
  /** Somebody wants to know whether a run is read anywhere; who has a reader of it says `read`. */
  | { kind: "who_reads"; run_id: string }
  | { kind: "read"; run_id: string }
  /** A thread or a run is about to be deleted. */
  | { kind: "deleted"; id: string };

/**
 * Hints between processes. They may be late, repeated or lost: whoever needs to know also looks for itself, now and then.
 */
export interface Signals {
  /** To the other processes; coalesced, after the commit it tells of. Never throws. */
  publish(hint: Hint): void;
  /** Hints of other processes. Returns how to stop listening. */
  subscribe(listener: (hint: Hint) => void): () => void;
  /** Whether hints arrive at present; while they do not, looks are more frequent. */
  readonly connected: boolean;
  /** Told how many processes there are, this one included: a way that reaches fewer is not the only one to be taken. */
  expect?(processes: number): void;
}

/** For a database that one process has to itself. */
export const NO_SIGNALS: Signals = { publish: () => undefined, subscribe: () => () => undefined, connected: true };
