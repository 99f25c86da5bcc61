import { element } from "./dom.ts";

/** The parts of JSON Schema that the document uses. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  format?: string;
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  additionalProperties?: Schema | boolean;
  $defs?: Record<string, Schema>;
  /** LangGraph's mark of a channel of chat messages. */
  langgraph_type?: string;
  description?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
}

export type Schemas = Record<string, Schema>;

export function resolveSchema(schema: Schema, schemas: Schemas): Schema {
  const name = schema.$ref?.split("/").pop();
  return name === undefined ? schema : resolveSchema(schemas[name] ?? {}, schemas);
}

/** "Thread[]", "string (uuid)", "raise | do_nothing". */
export function typeName(schema: Schema): string {
  if (schema.$ref !== undefined) return schema.$ref.split("/").pop() ?? "object";
  if (schema.enum !== undefined) return schema.enum.map(String).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const choices = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (choices !== undefined) return [...new Set(choices.map(typeName))].join(" | ");
  const types = [schema.type ?? "any"].flat();
  const named = types.map((type) => (type === "array" ? `${typeName(schema.items ?? {})}[]` : type)).join(" | ");
  return schema.format === undefined ? named : `${named} (${schema.format})`;
}

/** The fields of a schema as a list, objects within objects four levels deep. */
export function renderFields(given: Schema, schemas: Schemas, depth = 0): HTMLElement | undefined {
  const schema = resolveSchema(given, schemas);
  if (schema.items !== undefined) return renderFields(schema.items, schemas, depth);
  const parts = [schema, ...(schema.allOf ?? []), ...(schema.anyOf ?? [])].map((part) => resolveSchema(part, schemas));
  const fields = parts.flatMap((part) => Object.entries(part.properties ?? {}));
  if (fields.length === 0 || depth > 3) return undefined;
  const required = new Set(parts.flatMap((part) => part.required ?? []));
  const list = element("ul", { class: "fields" });
  for (const [name, field] of fields) {
    const row = element("li", {}, element("code", {}, name), element("span", { class: "type" }, typeName(field)));
    if (required.has(name)) row.append(element("span", { class: "must" }, "required"));
    if (field.default !== undefined)
      row.append(element("span", { class: "type" }, `default ${JSON.stringify(field.default)}`));
    if (field.description !== undefined) row.append(element("div", { class: "quiet" }, field.description));
    const inner = renderFields(field, schemas, depth + 1);
    if (inner !== undefined) row.append(inner);
    list.append(row);
  }
  return list;
}

/** A request body to start from: the required fields, with a value of their type. */
export function sampleOf(given: Schema, schemas: Schemas): unknown {
  const schema = resolveSchema(given, schemas);
  const [choice] = schema.anyOf ?? schema.oneOf ?? [];
  if (choice !== undefined) return sampleOf(choice, schemas);
  if (schema.enum !== undefined) return schema.enum[0];
  const type = [schema.type ?? "object"].flat()[0];
  if (type === "array") return schema.items === undefined ? [] : [sampleOf(schema.items, schemas)];
  if (type === "string") return "";
  if (type === "integer" || type === "number") return schema.minimum ?? 1;
  if (type === "boolean") return false;
  const required = schema.required ?? [];
  return Object.fromEntries(
    required.map((name) => [
      name,
      name === "assistant_id" ? "agent" : sampleOf(schema.properties?.[name] ?? {}, schemas),
    ]),
  );
}
