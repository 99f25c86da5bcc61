/** Message-to-JSON of the bare server: the fields that clients read, nothing else. */
type Dict = Record<string, unknown>;

export function json(value: unknown): Response {
  return new Response(JSON.stringify(value), { headers: { "content-type": "application/json" } });
}

function messageToDict(message: Dict & { getType(): string }): Dict {
  const type = message.getType();
  const dict: Dict = {
    type,
    id: message.id,
    content: message.content,
    additional_kwargs: message.additional_kwargs,
    response_metadata: message.response_metadata,
  };
  if (type === "ai") {
    dict.tool_calls = message.tool_calls;
    dict.invalid_tool_calls = message.invalid_tool_calls;
    dict.tool_call_chunks = message.tool_call_chunks;
    dict.usage_metadata = message.usage_metadata;
  } else if (type === "tool") {
    dict.tool_call_id = message.tool_call_id;
    dict.status = message.status;
    dict.name = message.name;
  }
  return dict;
}

/** Messages become plain dicts, everywhere in arrays and plain objects; the rest is left to JSON.stringify. */
export function toDict(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(toDict);
  if (typeof (value as Dict).getType === "function") return messageToDict(value as Dict & { getType(): string });
  const copy: Dict = {};
  for (const key of Object.keys(value)) copy[key] = toDict((value as Dict)[key]);
  return copy;
}

type Snapshot = {
  values: unknown;
  next: string[];
  tasks: unknown[];
  metadata?: unknown;
  createdAt?: string;
  config: { configurable?: Dict };
  parentConfig?: { configurable?: Dict };
};

/** A thread state as the API shows it. */
export function snapshotToState(snapshot: Snapshot): Dict {
  return {
    values: toDict(snapshot.values),
    next: snapshot.next,
    tasks: snapshot.tasks,
    metadata: snapshot.metadata,
    created_at: snapshot.createdAt,
    checkpoint: snapshot.config.configurable,
    parent_checkpoint: snapshot.parentConfig?.configurable ?? null,
  };
}
