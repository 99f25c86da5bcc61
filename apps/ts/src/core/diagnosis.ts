/** What one look at the surroundings found; `fractal doctor` prints a list of them. */
export interface Finding {
  /** For programs: "database.version". */
  id: string;
  /** warn: it works, with a loss; fail: it does not, or data is at risk. */
  status: "ok" | "warn" | "fail";
  /** One sentence for a person; no secret. */
  text: string;
  /** What to do about it. */
  advice?: string;
}
