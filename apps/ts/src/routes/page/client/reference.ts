import { byId, element, failureText, serverUrl } from "./dom.ts";
import type { Schema, Schemas } from "./schema.ts";
import { renderFields, sampleOf, typeName } from "./schema.ts";

interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required?: boolean;
  description?: string;
  schema: Schema;
}

interface Operation {
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: Parameter[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { description: string; content?: Record<string, { schema: Schema }> }>;
}

interface Document {
  info: { version: string };
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Schemas };
}

interface Endpoint {
  method: string;
  path: string;
  operation: Operation;
  schemas: Schemas;
}

/** Fetches JSON; an error answer is thrown with the server's own words. */
export async function fetchJson<T>(url: string, init?: RequestInit): Promise<T> {
  const response = await fetch(url, init);
  if (!response.ok) throw new Error(await failureText(response));
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** A form that sends the request to this server and shows what came back. */
export function renderTry({ method, path, operation, schemas }: Endpoint): HTMLElement {
  const form = element("form", { class: "try" });
  const inputs = (operation.parameters ?? []).map((parameter) => {
    const input = element("input", { type: "text", autocomplete: "off" });
    form.append(element("label", {}, `${parameter.name} (${parameter.in})`, input));
    return { parameter, input };
  });
  const bodySchema = operation.requestBody?.content["application/json"]?.schema;
  const body = element("textarea", { spellcheck: "false" });
  if (bodySchema !== undefined) {
    body.value = JSON.stringify(sampleOf(bodySchema, schemas), null, 2);
    form.append(element("label", {}, "Body", body));
  }
  const output = element("pre", { tabindex: "0", "aria-live": "polite" });
  output.hidden = true;
  form.append(element("button", { class: "button primary", type: "submit" }, "Send"), output);

  const send = async () => {
    let address = path;
    const query = new URLSearchParams();
    const headers = new Headers();
    for (const { parameter, input } of inputs) {
      if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value !== "" && parameter.in === "query") query.append(parameter.name, input.value);
      else if (input.value !== "") headers.set(parameter.name, input.value);
    }
    if (bodySchema !== undefined) headers.set("Content-Type", "application/json");
    const url = serverUrl("/docs") + address + (query.size > 0 ? `?${query}` : "");
    const response = await fetch(url, {
      method: method.toUpperCase(),
      headers,
      ...(bodySchema === undefined ? {} : { body: body.value }),
    });
    output.textContent = `${response.status} ${response.statusText}\n\n`;
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece = await reader?.read(); piece?.done === false; piece = await reader?.read()) {
      output.append(piece.value);
    }
    const [status = "", text = ""] = (output.textContent ?? "").split("\n\n", 2);
    if (response.headers.get("content-type")?.includes("json") !== true || text === "") return;
    output.textContent = `${status}\n\n${JSON.stringify(JSON.parse(text), null, 2)}`;
  };
  form.addEventListener("submit", (submit) => {
    submit.preventDefault();
    output.hidden = false;
    output.textContent = "…";
    send().catch((error: unknown) => {
      output.textContent = String(error);
    });
  });
  return form;
}

export function renderParameters(parameters: Parameter[]): HTMLElement {
  const list = element("ul", { class: "fields" });
  for (const parameter of parameters) {
    const kind = `${typeName(parameter.schema)}, ${parameter.in}`;
    const row = element("li", {}, element("code", {}, parameter.name), element("span", { class: "type" }, kind));
    if (parameter.required === true) row.append(element("span", { class: "must" }, "required"));
    if (parameter.description !== undefined) row.append(element("div", { class: "quiet" }, parameter.description));
    list.append(row);
  }
  return list;
}

export function renderAnswers(responses: Operation["responses"], schemas: Schemas): HTMLElement {
  const list = element("div", {});
  for (const [status, answer] of Object.entries(responses)) {
    const [type, content] = Object.entries(answer.content ?? {})[0] ?? [];
    const kind = content === undefined ? "" : type === "application/json" ? typeName(content.schema) : type;
    list.append(element("h4", {}, `${status} ${kind}`), element("div", { class: "quiet" }, answer.description));
    const fields = content === undefined || status >= "400" ? undefined : renderFields(content.schema, schemas);
    if (fields !== undefined) list.append(fields);
  }
  return list;
}

export function renderDetail(endpoint: Endpoint): HTMLElement {
  const { operation, schemas } = endpoint;
  const detail = element("div", { class: "detail" });
  const add = (title: string, content: HTMLElement) => detail.append(element("h3", {}, title), content);
  if (operation.description !== undefined) detail.append(element("p", {}, operation.description));
  if (operation.parameters !== undefined) add("Parameters", renderParameters(operation.parameters));
  const body = operation.requestBody?.content["application/json"]?.schema;
  if (body !== undefined) add("Body", renderFields(body, schemas) ?? element("code", {}, typeName(body)));
  add("Answers", renderAnswers(operation.responses, schemas));
  add("Try it", renderTry(endpoint));
  return detail;
}

/** Of the operation's link: `post-threads-thread_id-runs`. */
export function operationId({ method, path }: Endpoint): string {
  return [method, ...(path.match(/[\w-]+/g) ?? [])].join("-");
}

/** Opens the operation that the address names, and goes there: it was not drawn yet when the page was loaded. */
export function openLinked(): void {
  const linked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (linked === null) return;
  if (linked instanceof HTMLDetailsElement) linked.open = true;
  linked.scrollIntoView();
}

export function renderOperation(endpoint: Endpoint): HTMLDetailsElement {
  const { method, path, operation } = endpoint;
  const id = operationId(endpoint);
  const node = element(
    "details",
    { class: "operation", id, "data-find": `${method} ${path} ${operation.summary ?? ""}`.toLowerCase() },
    element(
      "summary",
      {},
      element("span", { class: `method ${method}` }, method.toUpperCase()),
      element("code", {}, path),
      element("span", {}, operation.summary ?? ""),
      element("a", { class: "link", href: `#${id}`, "aria-label": "Link to this operation" }, "#"),
    ),
  );
  // Most operations are never opened, so their fields are drawn when they are.
  node.addEventListener("toggle", () => node.append(renderDetail(endpoint)), { once: true });
  return node;
}

export async function startReference(): Promise<void> {
  const api = byId("api");
  try {
    const document_ = await fetchJson<Document>(`${serverUrl("/docs")}/openapi.json`);
    const endpoints = Object.entries(document_.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        method,
        path,
        operation,
        schemas: document_.components.schemas,
      })),
    );
    api.replaceChildren(element("p", { id: "nothing", class: "quiet", role: "status" }));
    for (const { name, description } of document_.tags) {
      const own = endpoints.filter(({ operation }) => operation.tags?.includes(name) === true);
      if (own.length === 0) continue;
      const id = name.toLowerCase().replaceAll(" ", "-");
      const section = element(
        "section",
        { id },
        element("h2", {}, name),
        element("p", { class: "quiet" }, description),
      );
      section.append(...own.map(renderOperation));
      api.append(section);
      byId("tags").append(element("a", { href: `#${id}` }, name));
    }
    openLinked();
    window.addEventListener("hashchange", openLinked);
    const find = byId<HTMLInputElement>("find");
    find.addEventListener("input", () => findOperations(api, find.value));
  } catch (error) {
    api.replaceChildren(String(error));
  }
}

/** Shows only what has every word in its method, path or summary. */
export function findOperations(api: HTMLElement, text: string): void {
  const words = text.toLowerCase().split(/\s+/);
  for (const node of api.querySelectorAll<HTMLElement>(".operation")) {
    node.hidden = !words.every((word) => node.dataset.find?.includes(word) === true);
  }
  for (const section of api.querySelectorAll<HTMLElement>("section")) {
    section.hidden = section.querySelector(".operation:not([hidden])") === null;
  }
  const none = api.querySelector("section:not([hidden])") === null;
  byId("nothing").textContent = none ? `No operation has "${text.trim()}".` : "";
}
