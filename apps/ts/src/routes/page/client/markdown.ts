import { element } from "./dom.ts";

/** A link of a model's answer is one only where it leads to the web or to a mailbox. */
export function safeAddress(text: string): string | undefined {
  try {
    const url = new URL(text);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : undefined;
  } catch {
    // A relative address would lead to this server.
    return undefined;
  }
}

export function renderLink(address: string, ...label: (Node | string)[]): Node {
  const href = safeAddress(address);
  if (href === undefined) return element("span", {}, ...label);
  return element("a", { href, target: "_blank", rel: "noopener noreferrer" }, ...label);
}

/** Code, bold, italic, struck out and links; everything else stays as written. */
export function renderInline(text: string): (Node | string)[] {
  const pieces = text.split(
    /(\\[\\`*_{}[\]()#+.!|~>-]|`[^`\n]+`|\*\*[^*\n]+\*\*|\*[^*\s][^*\n]*\*|(?<!\w)_[^_\s][^_\n]*_(?!\w)|~~[^~\n]+~~|!?\[[^[\]\n]*\]\([^()\s]+(?:\s+"[^"\n]*")?\)|https?:\/\/[^\s<>"'`)\]]+)/,
  );
  return pieces.flatMap((piece, index): (Node | string)[] => {
    if (index % 2 === 0) return piece === "" ? [] : [piece];
    if (piece.startsWith("\\")) return [piece.slice(1)];
    if (piece.startsWith("`")) return [element("code", {}, piece.slice(1, -1))];
    if (piece.startsWith("**")) return [element("strong", {}, ...renderInline(piece.slice(2, -2)))];
    if (piece.startsWith("~~")) return [element("s", {}, ...renderInline(piece.slice(2, -2)))];
    if (piece.startsWith("*") || piece.startsWith("_")) return [element("em", {}, ...renderInline(piece.slice(1, -1)))];
    if (piece.startsWith("http")) {
      // The full stop after an address ends the sentence.
      const address = piece.replace(/[.,;:!?]+$/, "");
      return [renderLink(address, address), piece.slice(address.length)];
    }
    const [label = "", rest = ""] = piece.replace(/^!?\[/, "").split("](");
    const address = rest.slice(0, -1).split(/\s/)[0] ?? "";
    return [renderLink(address, ...(label === "" ? [address] : renderInline(label)))];
  });
}

/** The cells of a table's row. */
export function splitRow(line: string): string[] {
  const row = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return row.split(/(?<!\\)\|/).map((cell) => cell.trim());
}

export function renderTable(lines: string[]): HTMLElement {
  const [head = "", rule = "", ...rows] = lines;
  const sides = splitRow(rule).map((cell) =>
    cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : "left",
  );
  const row = (tag: "th" | "td", line: string) => {
    const cells = splitRow(line).slice(0, sides.length);
    return element(
      "tr",
      {},
      ...cells.map((cell, at) => element(tag, { class: sides[at] ?? "" }, ...renderInline(cell))),
    );
  };
  const body = element("tbody", {}, ...rows.map((line) => row("td", line)));
  return element("div", { class: "scroll" }, element("table", {}, element("thead", {}, row("th", head)), body));
}

/** What kind of block begins at a line; undefined within a paragraph. */
export function blockAt(lines: string[], at: number): string | undefined {
  const line = lines[at] ?? "";
  if (line.trim() === "") return "blank";
  if (/^ {0,3}(```|~~~)/.test(line)) return "fence";
  if (/^ {0,3}#{1,6}\s+\S/.test(line)) return "heading";
  if (/^ {0,3}(-[ \t]*){3,}$|^ {0,3}(\*[ \t]*){3,}$|^ {0,3}(_[ \t]*){3,}$/.test(line)) return "rule";
  if (/^\s*([-*+]|\d{1,9}[.)])\s+\S/.test(line)) return "list";
  if (/^ {0,3}>/.test(line)) return "quote";
  const next = lines[at + 1] ?? "";
  if (line.includes("|") && next.includes("-") && /^[\s|:-]+$/.test(next) && next.includes("|")) return "table";
  return undefined;
}

export function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}

/** Where a list ends that begins at a line: at text that is not indented, unless it is another item. */
export function listEnd(lines: string[], start: number): number {
  const base = indentOf(lines[start] ?? "");
  let end = start + 1;
  for (let at = end; at < lines.length; at += 1) {
    const line = lines[at] ?? "";
    if (line.trim() === "") continue;
    const belongs = indentOf(line) > base || (blockAt(lines, at) === "list" && indentOf(line) === base);
    const continues = at === end && blockAt(lines, at) === undefined;
    if (!belongs && !continues) break;
    end = at + 1;
  }
  return end;
}

export function renderList(lines: string[], depth: number): HTMLElement {
  const first = lines[0] ?? "";
  const base = indentOf(first);
  const number = /^\s*(\d+)/.exec(first)?.[1];
  const list = number === undefined ? element("ul", {}) : element("ol", { start: number });
  const items: string[][] = [];
  for (const [at, line] of lines.entries()) {
    if (indentOf(line) <= base && blockAt(lines, at) === "list") items.push([line.replace(/^\s*\S+\s+/, "")]);
    else items.at(-1)?.push(line.slice(Math.min(indentOf(line), base + (number === undefined ? 2 : 3))));
  }
  for (const item of items) list.append(element("li", {}, ...renderMarkdown(item.join("\n"), depth + 1)));
  return list;
}

/** Markdown as elements, made one by one: what a model writes is never read as HTML. */
export function renderMarkdown(text: string, depth = 0): (Node | string)[] {
  // Deeper nesting than anybody writes stays text.
  if (depth > 8) return [text];
  const lines = text.split("\n");
  const nodes: (Node | string)[] = [];
  let at = 0;
  /** The lines from here as long as the condition holds, the first in any case. */
  const takeWhile = (met: (line: number) => boolean) => {
    const start = at;
    at += 1;
    while (at < lines.length && met(at)) at += 1;
    return lines.slice(start, at);
  };
  while (at < lines.length) {
    const line = lines[at] ?? "";
    const block = blockAt(lines, at);
    if (block === "blank" || block === "rule" || block === "heading") at += 1;
    if (block === "rule") nodes.push(element("hr", {}));
    else if (block === "heading") {
      const [, marks = "", title = ""] = /^\s*(#+)\s+(.*?)\s*#*$/.exec(line) ?? [];
      const tag = (["h3", "h4", "h5"] as const)[Math.min(marks.length, 3) - 1] ?? "h5";
      nodes.push(element(tag, {}, ...renderInline(title)));
    } else if (block === "fence") {
      const mark = line.trim().slice(0, 3);
      const code = takeWhile((next) => !(lines[next] ?? "").trimStart().startsWith(mark)).slice(1);
      at += 1;
      nodes.push(element("pre", { tabindex: "0" }, element("code", {}, code.join("\n"))));
    } else if (block === "list") {
      const end = listEnd(lines, at);
      nodes.push(renderList(lines.slice(at, end), depth));
      at = end;
    } else if (block === "quote") {
      const quoted = takeWhile((next) => blockAt(lines, next) === "quote").map((said) => said.replace(/^\s*> ?/, ""));
      nodes.push(element("blockquote", {}, ...renderMarkdown(quoted.join("\n"), depth + 1)));
    } else if (block === "table") {
      nodes.push(renderTable(takeWhile((next) => (lines[next] ?? "").includes("|"))));
    } else if (block === undefined) {
      const paragraph = takeWhile((next) => blockAt(lines, next) === undefined).join("\n");
      nodes.push(element("p", {}, ...renderInline(paragraph)));
    }
  }
  return nodes;
}
