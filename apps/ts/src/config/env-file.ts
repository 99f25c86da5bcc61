const ASSIGNMENT = /^\s*(?:export\s+)?[^\s=#"'`]+\s*=\s*(.*)$/;

/**
 * What of an env file sets nothing, though it looks as if it should. Sentences name the line, never its text: it may be a
 * secret. Engines pass over such lines without a word.
 * @param name The file's, as messages show it.
 */
export function malformedLines(text: string, name: string): string[] {
  const lines = text.split(/\r?\n/);
  const found: string[] = [];
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? "";
    if (/^\s*(#|$)/.test(line)) continue;
    const value = ASSIGNMENT.exec(line)?.[1];
    if (value === undefined) {
      found.push(`${name}: line ${i + 1} is not NAME=value; it is ignored`);
      continue;
    }
    const quote = /^["'`]/.exec(value)?.[0];
    if (quote === undefined || value.indexOf(quote, 1) > 0) continue;
    // A quoted value may go on over several lines.
    const end = lines.findIndex((later, at) => at > i && later.includes(quote));
    if (end < 0) found.push(`${name}: line ${i + 1} opens a quotation that does not end`);
    else i = end;
  }
  return found;
}
