import type { AuthScope } from "#core/identity/scope";
import type { Assistant } from "#schemas/assistants";
import type { JsonObject, Page, PageQuery, RunConfig } from "#schemas/common";

export interface NewAssistant {
  assistant_id: string;
  graph_id: string;
  name: string;
  description: string | null;
  config: RunConfig;
  context: JsonObject;
  metadata: JsonObject;
}

export type AssistantPatch = Partial<Omit<NewAssistant, "assistant_id">>;

export interface AssistantFilter {
  graph_id?: string | undefined;
  /** Case-insensitive substring. */
  name?: string | undefined;
  metadata?: JsonObject | undefined;
}

/** sort_by: assistant_id, graph_id, name, created_at (default, newest first), updated_at. */
export interface AssistantQuery extends AssistantFilter, PageQuery {}

/** Rows whose owner is "system" are readable by everybody in every tenant and writable by nobody but the server. */
export const SYSTEM_OWNER = "system";

export interface AssistantRepository {
  /** Version 1. False when the id exists, also as somebody else's. */
  insert(scope: AuthScope, assistant: NewAssistant): Promise<boolean>;
  find(scope: AuthScope, assistantId: string): Promise<Assistant | undefined>;
  /** Version max + 1 becomes current; metadata merges shallowly, the rest replaces. */
  update(scope: AuthScope, assistantId: string, patch: AssistantPatch): Promise<Assistant | undefined>;
  /** With versions. `deleteThreads`: also threads whose metadata.assistant_id is this id, with all they hold. */
  remove(scope: AuthScope, assistantId: string, deleteThreads: boolean): Promise<boolean>;
  search(scope: AuthScope, query: AssistantQuery): Promise<Page<Assistant>>;
  count(scope: AuthScope, filter: AssistantFilter): Promise<number>;
  /** Newest first; created_at is the version's own. */
  versions(
    scope: AuthScope,
    assistantId: string,
    query: Pick<PageQuery, "limit" | "offset" | "max_bytes"> & { metadata?: JsonObject | undefined },
  ): Promise<Assistant[] | undefined>;
  /** Makes an older version current with all its versioned fields. */
  setLatest(scope: AuthScope, assistantId: string, version: number): Promise<Assistant | undefined>;
}
