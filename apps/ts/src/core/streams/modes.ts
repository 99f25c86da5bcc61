import { StreamMode } from "#schemas/run-requests";

/** What a client may ask for. `messages-tuple` is LangGraph's `messages`; `messages` is its older form. */
export const STREAM_MODES: readonly StreamMode[] = StreamMode.options;
export type { StreamMode };

/** Modes of langgraph itself that must run so that the asked ones can be served. `values` is always among them. */
export function graphModes(asked: readonly StreamMode[]): string[] {
  const modes = new Set<string>(["values"]);
  for (const mode of asked) {
    if (mode === "messages-tuple" || mode === "messages") modes.add("messages");
    else if (mode !== "events") modes.add(mode);
  }
  return [...modes];
}

const ALWAYS = new Set(["metadata", "error", "end"]);

/** Whether every reader gets these events, whatever it asked for. */
export function isAlways(mode: string): boolean {
  return ALWAYS.has(mode);
}

/** Which events of a run's log a reader gets. */
export interface ReaderFilter {
  /** Undefined: all that the run was started with. */
  modes?: ReadonlySet<string> | undefined;
  /** Exactly these namespaces ("" is the root); undefined: all. */
  namespaces?: ReadonlySet<string> | undefined;
}

export function passes(filter: ReaderFilter, event: { mode: string; ns: string }): boolean {
  if (isAlways(event.mode)) return true;
  if (filter.namespaces !== undefined && !filter.namespaces.has(event.ns)) return false;
  if (filter.modes === undefined || filter.modes.has(event.mode)) return true;
  return event.mode.startsWith("messages") && (filter.modes.has("messages") || filter.modes.has("messages-tuple"));
}
