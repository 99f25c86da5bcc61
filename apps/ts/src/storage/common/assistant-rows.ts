import type { Assistant } from "#schemas/assistants";
import { iso, parseKept, parseObject } from "./run-rows.ts";

/** An assistant as both engines store it: JSON as text, times in Unix ms. */
export interface AssistantRow {
  assistant_id: string;
  graph_id: string;
  name: string;
  description: string | null;
  version: number;
  created_at: number;
  updated_at: number;
  config: string;
  context: string;
  metadata: string;
}

export function toAssistant(row: AssistantRow): Assistant {
  return {
    assistant_id: row.assistant_id,
    graph_id: row.graph_id,
    name: row.name,
    description: row.description,
    config: parseObject(row.config),
    context: parseObject(row.context),
    metadata: parseKept(row.metadata),
    version: row.version,
    created_at: iso(row.created_at),
    updated_at: iso(row.updated_at),
  };
}
