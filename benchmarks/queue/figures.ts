/** What is measured of the queue without graphs; rates per second, times in milliseconds. */
export type QueueFigures = {
  cycles: { storage: string; at: number; perSecond: number }[];
  claims: { depth: number; p50: number; p99: number }[];
  restarts: {
    storage: string;
    /** From the kill to the first 200. */
    answersMs: number;
    /** From the kill to the end of the run that was cut off, less what that run needs by itself. */
    runEndsMs: number;
  }[];
  /** What did not work, in sentences; its figures are missing. */
  failures: string[];
};
