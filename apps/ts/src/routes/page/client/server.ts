import type { Link } from "./connection.ts";
import { reachJson } from "./connection.ts";
import { byId, copyText, element } from "./dom.ts";

export interface ServerInfo {
  version: string;
  runtime: string;
  persistence: string;
  model: { name: string | null; fake: boolean; used: boolean };
  graph_details: { graph_id: string; assistant_id: string; description: string | null; error: string | null }[];
}

/** Everything around the chat: model badge, graphs, snippets for this very server. */
export async function showServer(link: Link): Promise<void> {
  const info = await reachJson<ServerInfo>(link, "/info");
  const badge = byId("model");
  // A project's own graphs choose their models themselves.
  badge.hidden = !info.model.used;
  badge.textContent = info.model.fake
    ? `Demonstration model ${info.model.name}: no API key is set`
    : (info.model.name ?? "No model: set an API key");
  if (info.model.fake || info.model.name === null) badge.classList.add("demo");
  byId("facts").textContent = `Version ${info.version} on ${info.runtime}, stored in ${info.persistence}.`;

  const graphs = byId<HTMLUListElement>("graphs");
  const select = byId<HTMLSelectElement>("graph");
  for (const graph of info.graph_details) {
    const entry = element("li", {}, element("strong", {}, graph.graph_id));
    if (graph.description !== null) entry.append(element("div", { class: "quiet" }, graph.description));
    if (graph.error !== null) entry.append(element("div", { class: "bad" }, graph.error));
    entry.append(element("div", {}, element("code", {}, graph.assistant_id)));
    graphs.append(entry);
    if (graph.error === null) select.append(element("option", { value: graph.graph_id }, graph.graph_id));
  }
  if (info.graph_details.some((graph) => graph.graph_id === "agent" && graph.error === null)) select.value = "agent";
  for (const button of document.querySelectorAll<HTMLElement>("[data-copy]")) {
    button.addEventListener("click", () => void copyText(byId(button.dataset.copy ?? ""), button));
  }
}

export function showSnippets(server: string, graph: string): void {
  const input = '{"messages": [{"role": "user", "content": "What time is it in Tokyo?"}]}';
  byId("curl").textContent = [
    `curl -s ${server}/runs/wait \\`,
    "  -H 'Content-Type: application/json' \\",
    `  -d '{"assistant_id": "${graph}", "input": ${input}}'`,
  ].join("\n");
  byId("sdk").textContent = [
    'import { Client } from "@langchain/langgraph-sdk";',
    "",
    `const client = new Client({ apiUrl: "${server}" });`,
    "const thread = await client.threads.create();",
    `const run = client.runs.stream(thread.thread_id, "${graph}", {`,
    `  input: ${input},`,
    '  streamMode: "messages-tuple",',
    "});",
    "for await (const { event, data } of run) {",
    "  console.log(event, data);",
    "}",
  ].join("\n");
}
