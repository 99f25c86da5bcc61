import type { z } from "@hono/zod-openapi";

/** "config.recursion_limit: Too big: expected number to be <=1000"; several problems are joined by "; ". */
export function describeIssues(error: z.ZodError, fallback: string): string {
  return error.issues
    .slice(0, 10)
    .map((issue) => {
      const { path, text } = explain(issue);
      return `${pathText(path) || fallback}: ${text}`;
    })
    .join("; ");
}

const NO_WORDS = "Invalid input";

type Issue = z.core.$ZodIssue;
type Explained = { path: readonly PropertyKey[]; text: string };

function explain(issue: Issue): Explained {
  // A schema with words of its own has said all that there is to say.
  if (issue.code === "invalid_union" && issue.message === NO_WORDS) return explainUnion(issue);
  const text = issue.code === "invalid_format" && issue.format === "guid" ? "must be a UUID" : issue.message;
  return { path: issue.path, text };
}

/** The alternative that the value came nearest to; of those that are equally near, what each expected there. */
function explainUnion(issue: Extract<Issue, { code: "invalid_union" }>): Explained {
  const alternatives = issue.errors
    .flatMap(([first]) => (first === undefined ? [] : [explain(first)]))
    .sort((a, b) => b.path.length - a.path.length);
  const [nearest] = alternatives;
  if (nearest === undefined) return { path: issue.path, text: issue.message };
  const there = pathText(nearest.path);
  const texts = alternatives.filter(({ path }) => pathText(path) === there).map(({ text }) => text);
  return { path: [...issue.path, ...nearest.path], text: [...new Set(texts)].join(", or ") };
}

/** `metadata.list[2]`; empty for the value itself. */
export function pathText(path: readonly PropertyKey[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += text === "" ? String(part) : `.${String(part)}`;
  }
  return text;
}
