import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const NODE_MODULES = join(import.meta.dirname, "..", "..", "..", "..", "node_modules");

/** A project in a temporary folder, gone when the block ends. It reaches this repository's packages unless told not to. */
export async function tempProject(files: Record<string, string>, options: { packages?: boolean } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "fractal-project-"));
  if (options.packages !== false) await symlink(NODE_MODULES, join(folder, "node_modules"), "dir");
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

/** Text of a langgraph.json with these graphs. */
export function graphsOf(graphs: Record<string, unknown>): string {
  return JSON.stringify({ graphs });
}
