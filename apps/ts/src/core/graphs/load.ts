import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { pickExport, type Resolved, resolveExport } from "./resolve.ts";
import type { GraphSpec } from "./spec.ts";

export type ImportModule = (path: string) => Promise<Readonly<Record<string, unknown>>>;

export interface LoadedFile {
  resolved: Resolved;
  /** First 12 hex digits of the SHA-256 of the graph's file. */
  revision: string;
}

/**
 * Reads and imports one graph's file. Throws an Error whose message is for the person who wrote the file; what it says
 * about itself (path, export) is left to the caller.
 */
export async function loadGraphFile(
  spec: GraphSpec,
  options: { importModule: ImportModule; timeoutMs: number },
): Promise<LoadedFile> {
  if (/\.py$/i.test(spec.path)) {
    throw new Error("it is a Python graph, and this runtime runs TypeScript and JavaScript graphs only");
  }
  const source = await readSource(spec.path);
  // A top-level await that never ends must not keep the other graphs from being served.
  const exports = await withDeadline(options.importModule(spec.path), options.timeoutMs);
  const resolved = await withDeadline(resolveExport(pickExport(exports, spec.exportName)), options.timeoutMs);
  return { resolved, revision: createHash("sha256").update(source).digest("hex").slice(0, 12) };
}

async function readSource(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new Error(code === "ENOENT" ? `there is no file ${path}` : `${path} cannot be read (${code})`, {
      cause: error,
    });
  }
}

async function withDeadline<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it did not finish loading within ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** One line of text for whatever user code threw; several parse errors become several sentences. */
export function errorText(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(errorText).join("; ");
  if (error instanceof Error) return error.message || error.name;
  const message = (error as { message?: unknown } | null | undefined)?.message;
  return typeof message === "string" && message !== "" ? message : String(error);
}
