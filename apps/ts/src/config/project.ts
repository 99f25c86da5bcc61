import { basename, dirname } from "node:path";
import { readDocument } from "./langgraph-json.ts";
import type { SettingValues } from "./settings.ts";
import type { Sources } from "./sources.ts";

/** Variables that stand for a key of langgraph.json, as the official image sets them. They win over the file. */
const STAND_INS = [
  ["LANGSERVE_GRAPHS", "graphs"],
  ["LANGGRAPH_STORE", "store"],
  ["LANGGRAPH_HTTP", "http"],
  ["LANGGRAPH_CHECKPOINTER", "checkpointer"],
  ["LANGGRAPH_AUTH", "auth"],
  ["LANGGRAPH_ENCRYPTION", "encryption"],
  ["LANGGRAPH_WEBHOOKS", "webhooks"],
  ["LANGGRAPH_UI", "ui"],
  ["CORS_CONFIG", "http.cors"],
] as const;

/** langgraph.json and what stands in for parts of it. @param given.values Undefined when a variable is malformed. */
export function readProject(sources: Sources, given: { values: SettingValues | undefined; cwd: string }) {
  const { configPath } = sources;
  const file = basename(configPath ?? "langgraph.json");
  const used = STAND_INS.filter(([name]) => given.values?.[name] !== undefined);
  // Without a file (or with one that could not be read, which is reported already) only the shipped graphs are served.
  let document: Record<string, unknown> = { ...(sources.document ?? { graphs: {} }) };
  for (const [name, path] of used) document = replaced(document, path.split("."), given.values?.[name]);
  return readDocument({
    document,
    where: (path) => {
      const standIn = used.findLast(([, key]) => path === key || path.startsWith(`${key}.`));
      return standIn === undefined ? `${file}: ${path}` : `${standIn[0]}${path.slice(standIn[1].length)}`;
    },
    baseDir: configPath === undefined || given.values?.LANGSERVE_GRAPHS !== undefined ? given.cwd : dirname(configPath),
  });
}

function replaced(object: Record<string, unknown>, path: readonly string[], value: unknown): Record<string, unknown> {
  const [key = "", ...rest] = path;
  if (rest.length === 0) return { ...object, [key]: value };
  const inner = object[key];
  const below = typeof inner === "object" && inner !== null ? (inner as Record<string, unknown>) : {};
  return { ...object, [key]: replaced(below, rest, value) };
}
