import type { z } from "@hono/zod-openapi";

/** "config.recursion_limit: Too big: expected number to be <=1000"; several problems are joined by "; ". */
export function describeIssues(error: z.ZodError, fallback: string): string {
  return error.issues
    .slice(0, 10)
    .map((issue) => `${pathText(issue.path) || fallback}: ${issueText(issue)}`)
    .join("; ");
}

function issueText(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_format" && issue.format === "guid") return "must be a UUID";
  return issue.message;
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
