/**
 * Matches host names against a list: a name is itself, `.suffix` and `*.suffix` are all names below the suffix. Case does
 * not matter.
 */
export function hostNames(list: readonly string[]): (name: string) => boolean {
  const names = new Set<string>();
  const suffixes: string[] = [];
  for (const entry of list) {
    const name = entry.toLowerCase().replace(/^\[(.*)\]$/, "$1");
    if (/^\*?\./.test(name)) suffixes.push(name.replace(/^\*/, ""));
    else names.add(name);
  }
  return (name) => names.has(name) || suffixes.some((suffix) => name.endsWith(suffix) && name.length > suffix.length);
}

/** What is wrong with an entry of such a list, as the end of a sentence; undefined when it is one. */
export function hostNameProblem(entry: string): string | undefined {
  if (/^(?:\*|(?:\*?\.)?[\w-]+(?:\.[\w-]+)*|\[?[\da-f:.]*:[\da-f:.]*:[\da-f.]*\]?)$/i.test(entry)) return undefined;
  return "must be host names without scheme and port; .example.com is every name below example.com";
}
