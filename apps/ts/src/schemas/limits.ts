/** The most that one request may ask for, in one place; docs/limits.md tells clients. */
export const LIMITS = {
  /** Rows of one page. */
  rows: 1000,
  /** Rows before a page. */
  offset: 10_000_000,
  /** Ids in one request. */
  ids: 1000,
  /** Entries of `select`. */
  selected: 100,
  /** Keys and list items of a filter, at all depths together. */
  filterParts: 100,
  /** Characters of all keys and texts of a filter together. */
  filterText: 65_536,
  /** Objects and lists inside each other in a filter. */
  filterDepth: 16,
  /** Characters of a name, a graph's id, or a path of `extract`. */
  text: 1000,
} as const;

/** Why a filter is too large, if it is: its size is paid for every row that it is compared with. */
export function filterProblem(filter: unknown): string | undefined {
  let parts = 0;
  let text = 0;
  let level: unknown[] = [filter];
  for (let depth = 0; level.length > 0; depth++) {
    const nodes = level.filter((value) => typeof value === "object" && value !== null) as object[];
    if (nodes.length > 0 && depth >= LIMITS.filterDepth) return `is nested deeper than ${LIMITS.filterDepth} levels`;
    const keys = nodes.flatMap(Object.keys);
    const texts = [...keys, ...level].filter((value) => typeof value === "string");
    parts += keys.length;
    text += texts.reduce((sum, each) => sum + each.length, 0);
    if (parts > LIMITS.filterParts) return `has more than ${LIMITS.filterParts} keys and list items`;
    if (text > LIMITS.filterText) return `has more than ${LIMITS.filterText} characters of text`;
    level = nodes.flatMap(Object.values);
  }
  return undefined;
}
