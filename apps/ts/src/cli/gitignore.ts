import { appendFile, readFile } from "node:fs/promises";
import { isAbsolute, join, relative } from "node:path";

/**
 * Keeps the data folder out of the project's history: adds it to a .gitignore that is there and lacks it. A project
 * without one, or with its data elsewhere, is left alone.
 * @returns Whether the file was changed.
 */
export async function ignoreDataDir(project: string, dataDir: string): Promise<boolean> {
  const path = join(project, ".gitignore");
  const folder = relative(project, dataDir).replaceAll("\\", "/");
  if (folder === "" || folder.startsWith("..") || isAbsolute(folder)) return false;
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  const patterns = new Set([folder, `${folder}/`, `/${folder}`, `/${folder}/`, `${folder}/*`, `${folder}/**`]);
  if (text.split(/\r?\n/).some((line) => patterns.has(line.trim()))) return false;
  await appendFile(path, `${text === "" || text.endsWith("\n") ? "" : "\n"}${folder}/\n`);
  return true;
}
