import { RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { StoreItem } from "#core/store/repository";
import type { JsonObject } from "#schemas/common";
import { filterProblem } from "#schemas/limits";
import { keyProblem, namespaceProblem } from "#schemas/store";
import { passes } from "./json-filters.ts";
import { iso, parseKept } from "./run-rows.ts";

/**
 * A refresh is written when the item lives so much longer by it, or this share of its time to live: what is read a
 * thousand times a second is written once.
 */
export const WORTH_MS = 1_000;
export const WORTH_SHARE = 0.1;

export interface ItemRow {
  namespace: string;
  key: string;
  created_at: number;
  updated_at: number;
  value: string;
}

export function toItem(row: ItemRow): StoreItem {
  return {
    namespace: labelsOf(row.namespace),
    key: row.key,
    value: parseKept(row.value),
    created_at: iso(row.created_at),
    updated_at: iso(row.updated_at),
  };
}

/** Labels, each followed by a dot: a dot cannot occur in a label, and the end makes prefixes whole labels. */
export function pathOf(labels: string[]): string {
  const problem = namespaceProblem(labels);
  if (problem !== undefined) throw new RuntimeError("invalid", problem);
  return labels.map((label) => `${label}.`).join("");
}

export function labelsOf(path: string): string[] {
  return path.split(".").slice(0, -1);
}

export function keyOf(key: string): string {
  const problem = keyProblem(key);
  if (problem !== undefined) throw new RuntimeError("invalid", `The key of an item ${problem}`);
  return key;
}

/** A graph may search too, and its filters pass no schema. */
export function boundedFilter(filter: JsonObject | undefined): JsonObject | undefined {
  const problem = filter && filterProblem(filter);
  if (problem !== undefined) throw new RuntimeError("invalid", `The filter ${problem}`);
  return filter;
}

/** The range of paths below a path: "/" follows "." in code order, so it is exactly the texts that begin with the path. */
export function endOfRange(path: string): string {
  return `${path.slice(0, -1)}/`;
}

/** The labels before the first "*". */
export function literalHead(prefix: string[]): string[] {
  const wild = prefix.indexOf("*");
  return wild < 0 ? prefix : prefix.slice(0, wild);
}

/** The auth handler's conditions, over the item's value with its namespace and key. */
export function admitted(scope: AuthScope, item: { namespace: string[]; key: string; value: JsonObject }): boolean {
  const { filters } = scope;
  return filters === undefined || passes(filters, { ...item.value, namespace: item.namespace, key: item.key });
}
