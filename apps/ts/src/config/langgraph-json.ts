import { resolve } from "node:path";
import { z } from "zod";
import type { GraphSpec } from "#core/graphs/spec";
import { NO_TTL, type StoreTtl } from "#core/store/ttl";
import { refusedKeys } from "./refused.ts";

/** Parts of the API that `http.disable_<name>: true` switches off. */
export const SWITCHES = ["assistants", "threads", "runs", "store", "meta", "mcp", "a2a", "ui", "webhooks"] as const;
export type Switch = (typeof SWITCHES)[number];

const Cors = z.looseObject({
  allow_origins: z.array(z.string()).optional(),
  allow_origin_regex: z.string().refine(isRegex, "is not a regular expression").optional(),
  allow_methods: z.array(z.string()).optional(),
  allow_headers: z.array(z.string()).optional(),
  allow_credentials: z.boolean().optional(),
  expose_headers: z.array(z.string()).optional(),
  max_age: z.number().int().min(0).optional(),
});
export type CorsConfig = Readonly<Pick<z.infer<typeof Cors>, keyof typeof Cors.shape>>;

/** "./file.ts:export" is short for an object with that path. */
const Graph = z.preprocess(
  (entry) => (typeof entry === "string" ? { path: entry } : entry),
  z.looseObject({
    path: z.string().min(1),
    description: z.string().optional(),
    isolation: z.enum(["assistant", "thread"]).optional(),
  }),
);

/** A timer fires at once beyond 2^31 ms, which is 24.8 days. */
const MAX_SWEEP = 24 * 24 * 60;

const disable = Object.fromEntries(SWITCHES.map((name) => [`disable_${name}`, z.boolean().optional()]));

const Http = z.looseObject({ cors: Cors.nullish(), ...disable });
/** Longest time to live: a thousand years still is a date. */
const Minutes = z.number().positive().max(525_600_000);
const Ttl = z.looseObject({ default_ttl: Minutes.nullish(), sweep_interval_minutes: Minutes.max(MAX_SWEEP).nullish() });
const ItemTtl = Ttl.extend({ refresh_on_read: z.boolean().nullish() });
const ThreadTtl = Ttl.extend({ strategy: z.enum(["delete", "keep_latest"]).nullish() });

/** What the server reads of langgraph.json. Keys that only matter when an image is built are accepted and not read. */
const Document = z.looseObject({
  graphs: z.record(z.string().min(1), Graph),
  http: Http.nullish(),
  store: z.looseObject({ ttl: ItemTtl.nullish() }).nullish(),
  checkpointer: z.looseObject({ ttl: ThreadTtl.nullish() }).nullish(),
});

const TOP_LEVEL = new Set(
  [
    "$schema graphs env dependencies http store checkpointer auth encryption webhooks ui ui_config",
    "node_version node_loader python_version api_version base_image image_distro dockerfile_lines docker_compose_file",
    "pip_config_file pip_installer keep_pkg_tools source",
  ].flatMap((keys) => keys.split(" ")),
);
const HTTP = new Set(
  "app cors configurable_headers enable_custom_route_auth middleware_order mount_prefix"
    .split(" ")
    .concat(SWITCHES.map((name) => `disable_${name}`)),
);
/** Asks for nothing that this server does, and takes nothing away. */
const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  "http.logging_headers": "request headers are not logged at all",
  "checkpointer.ttl.sweep_limit": "expired threads are removed in small batches until none is left",
};

export interface ProjectSettings {
  graphs: GraphSpec[];
  cors: CorsConfig | undefined;
  disabled: ReadonlySet<Switch>;
  /** How long items of the store live. */
  storeTtl: StoreTtl;
  /** For threads that are created without one of their own; undefined: they live for ever. */
  threadTtl: { strategy: "delete" | "keep_latest"; minutes: number } | undefined;
  /** Pause between two looks for what is past its time. */
  sweepIntervalMinutes: number;
}

export interface DocumentSource {
  document: Readonly<Record<string, unknown>>;
  /** Where a key came from, for messages: "langgraph.json: http.cors" or "LANGGRAPH_HTTP.cors". */
  where(path: string): string;
  /** What the paths of the graphs are relative to. */
  baseDir: string;
}

export function readDocument(source: DocumentSource): {
  settings: ProjectSettings | undefined;
  problems: string[];
  warnings: string[];
} {
  const { document, where } = source;
  const parsed = Document.safeParse(document);
  const problems = parsed.success ? [] : parsed.error.issues.map((issue) => explain(issue, source));
  problems.push(...refusedKeys(document, where));
  if (!parsed.success) return { settings: undefined, problems, warnings: [] };
  const { graphs, http, store, checkpointer } = parsed.data;
  const threads = checkpointer?.ttl;
  const sweeps = [store?.ttl, threads].flatMap((ttl) => ttl?.sweep_interval_minutes ?? []);
  const settings: ProjectSettings = {
    graphs: Object.entries(graphs).map(([id, graph]) => graphSpec(id, graph, source.baseDir)),
    cors: http?.cors ?? undefined,
    disabled: new Set(SWITCHES.filter((name) => http?.[`disable_${name}`] === true)),
    storeTtl: {
      minutes: store?.ttl?.default_ttl ?? NO_TTL.minutes,
      refreshOnRead: store?.ttl?.refresh_on_read ?? NO_TTL.refreshOnRead,
    },
    threadTtl:
      threads?.default_ttl == null
        ? undefined
        : { strategy: threads.strategy ?? "delete", minutes: threads.default_ttl },
    // One sweep clears both away, so the shorter interval holds.
    sweepIntervalMinutes: sweeps.length === 0 ? 1 : Math.min(...sweeps),
  };
  return { settings, problems, warnings: warningsOf(parsed.data, where) };
}

/** "./file.ts:export"; without an export it is the default one. The colon of a Windows drive is no separator. */
function graphSpec(id: string, entry: z.infer<typeof Graph>, baseDir: string): GraphSpec {
  const colon = entry.path.lastIndexOf(":");
  const [file, exportName] = colon > 1 ? [entry.path.slice(0, colon), entry.path.slice(colon + 1)] : [entry.path, ""];
  return {
    id,
    source: entry.path,
    path: resolve(baseDir, file),
    exportName: exportName || "default",
    ...("description" in entry && { description: entry.description }),
    ...("isolation" in entry && { isolation: entry.isolation }),
  };
}

function warningsOf(document: z.infer<typeof Document>, where: (path: string) => string): string[] {
  const unknown = [
    ...strange(document, TOP_LEVEL, ""),
    ...strange(document.http ?? {}, HTTP, "http.").filter((path) => !(path in WITHOUT_EFFECT)),
    ...strange(document.http?.cors ?? {}, new Set(Object.keys(Cors.shape)), "http.cors."),
    ...Object.entries(document.graphs).flatMap(([id, graph]) =>
      strange(graph, new Set(["path", "description", "isolation"]), `graphs.${id}.`),
    ),
  ];
  const silent = Object.entries(WITHOUT_EFFECT).filter(([path]) => at(document, path) !== undefined);
  return [
    ...unknown.map((path) => `${where(path)} is not a key that this server knows; it is ignored`),
    ...silent.map(([path, why]) => `${where(path)} has no effect: ${why}`),
  ];
}

function strange(object: object, known: ReadonlySet<string>, prefix: string): string[] {
  return Object.keys(object).flatMap((key) => (known.has(key) ? [] : [`${prefix}${key}`]));
}

function at(document: unknown, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>(
      (value, key) => (typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined),
      document,
    );
}

/** zod's own texts speak to programmers. @returns A sentence that starts with the key. */
function explain(issue: z.core.$ZodIssue, { document, where }: DocumentSource): string {
  const [top, id, key] = issue.path;
  if (top === "graphs" && id === undefined) {
    const is = document.graphs === undefined ? "is missing" : "must be a map from ids to files";
    return `${where("graphs")} ${is}: {"graphs": {"agent": "./src/agent.ts:graph"}}`;
  }
  if (top === "graphs" && issue.code !== "invalid_key" && (key === undefined || key === "path")) {
    return `${where(`graphs.${String(id)}`)} must be "./file.ts:export" or {"path": "./file.ts:export", "description": "..."}`;
  }
  return `${where(issue.path.join("."))} is wrong: ${issue.message}`;
}

function isRegex(pattern: string): boolean {
  try {
    new RegExp(pattern);
    return true;
  } catch {
    // The caller turns the answer into a message.
    return false;
  }
}
