import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { shim } from "./fractal.ts";

// Below this folder, so that graphs resolve @langchain/langgraph as a project with its own node_modules would.
const here = fileURLToPath(new URL(".", import.meta.url));
const node = process.env.FRACTAL_TEST_NODE;

export interface EngineChoice {
  command?: string[];
  env?: Record<string, string>;
}

/** How a test starts the command on each engine; undefined where FRACTAL_TEST_NODE names no Node that is new enough. */
export const engines: [string, EngineChoice | undefined][] = [
  ["Bun", {}],
  ["Node", node === undefined ? undefined : { command: [node, shim], env: { FRACTAL_ENGINE: "node" } }],
];

/** A throw-away project of a user. */
export class Project {
  readonly dir = mkdtempSync(join(here, ".project-"));

  write(file: string, text: string): void {
    mkdirSync(dirname(join(this.dir, file)), { recursive: true });
    writeFileSync(join(this.dir, file), text);
  }

  remove(): void {
    // The server may still be writing its last words into the folder.
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}

export function post(url: string, body: object): Promise<Response> {
  return fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}
