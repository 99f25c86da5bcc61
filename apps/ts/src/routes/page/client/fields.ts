import { element } from "./dom.ts";
import type { Schema, Schemas } from "./schema.ts";
import { resolveSchema } from "./schema.ts";

/** Fields for a person; `read` throws what is wrong with them, in words. */
export interface Form {
  node: HTMLElement;
  read(): unknown;
}

export interface FieldSpec {
  name: string;
  schema: Schema;
  required?: boolean;
  value?: unknown;
}

/** JSON where it is JSON; other words are a text. */
export function readLoose(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    if (!/^\s*[[{"]/.test(text)) return text;
    throw new Error(`${name}: this is not valid JSON.`);
  }
}

/** The one type of a field; of a field that may also be null, the other one. */
export function fieldType(schema: Schema, schemas: Schemas): Schema {
  const resolved = resolveSchema(schema, schemas);
  const choices = (resolved.anyOf ?? resolved.oneOf ?? []).filter((choice) => choice.type !== "null");
  if (choices.length === 1 && choices[0] !== undefined) return fieldType(choices[0], schemas);
  const types = [resolved.type ?? []].flat().filter((type) => type !== "null");
  const { type: _, ...rest } = resolved;
  return types.length === 1 && types[0] !== undefined ? { ...rest, type: types[0] } : rest;
}

export function createSelect(choices: unknown[], start: unknown): Form {
  const node = element("select", {}, element("option", { value: "" }, ""));
  for (const [at, choice] of choices.entries()) node.append(element("option", { value: String(at) }, String(choice)));
  if (start !== undefined) node.value = String(choices.indexOf(start));
  return { node, read: () => (node.value === "" ? undefined : choices[Number(node.value)]) };
}

/** One field; left empty, it is left out. */
export function createField({ name, schema, required, value }: FieldSpec): Form {
  const choices = schema.enum ?? (schema.type === "boolean" ? [true, false] : undefined);
  const start = value ?? schema.default;
  const label = element("label", { class: "field" }, element("span", {}, element("strong", {}, name)));
  if (required === true) label.append(element("span", { class: "must" }, "required"));
  if (schema.description !== undefined) label.append(element("span", { class: "quiet" }, schema.description));
  if (choices !== undefined) {
    const { node, read } = createSelect(choices, start);
    label.append(node);
    return { node: label, read };
  }
  const isText = schema.type === "string";
  const isNumber = schema.type === "number" || schema.type === "integer";
  const hint =
    isText || isNumber ? "" : schema.type === "array" ? "[]" : schema.type === "object" ? "{}" : "JSON or text";
  const input = isNumber
    ? element("input", { type: "number", step: schema.type === "integer" ? "1" : "any" })
    : element("textarea", { rows: "1", placeholder: hint, class: isText ? "" : "code", spellcheck: String(isText) });
  if (start !== undefined) input.value = typeof start === "string" ? start : JSON.stringify(start, null, 2);
  label.append(input);
  const read = () => {
    // What held a text before may become an empty one.
    if (input.value.trim() === "") return typeof value === "string" ? "" : undefined;
    if (isText) return input.value;
    if (isNumber) return Number(input.value);
    // A text among values of any type: as it was written, it stays one.
    if (typeof value === "string" && input.value === value) return value;
    const given = readLoose(input.value, name);
    const expected = schema.type === "array" ? Array.isArray(given) : typeof given === "object";
    if (schema.type !== undefined && !expected) throw new Error(`${name}: this is not valid JSON.`);
    return given;
  };
  return { node: label, read };
}

/** A field per property of a schema; one field for everything where it names none. */
export function createForm(schema: Schema, value?: unknown): Form {
  const schemas = schema.$defs ?? {};
  const { properties = {}, required = [] } = resolveSchema(schema, schemas);
  const names = Object.keys(properties);
  if (names.length === 0) return createField({ name: "JSON", schema: fieldType(schema, schemas), value });
  const values = (value ?? {}) as Record<string, unknown>;
  const fields = names.map((name) => {
    const type = fieldType(properties[name] ?? {}, schemas);
    return { name, ...createField({ name, schema: type, required: required.includes(name), value: values[name] }) };
  });
  const read = () => {
    const entries = fields.map((field) => [field.name, field.read()] as const);
    return Object.fromEntries(entries.filter(([, given]) => given !== undefined));
  };
  return { node: element("div", { class: "fields" }, ...fields.map(({ node }) => node)), read };
}

/** The schema of values that came without one. */
export function schemaOf(values: Record<string, unknown>): Schema {
  const type = (value: unknown) => (Array.isArray(value) ? "array" : typeof value);
  const properties = Object.entries(values).map(([name, value]) => [name, value === null ? {} : { type: type(value) }]);
  return { type: "object", properties: Object.fromEntries(properties) };
}
