import { constants, existsSync, statSync } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Finding } from "#core/diagnosis";
import { StorageError } from "#core/storage";
import { openSqliteReadOnly, type SqliteDatabase } from "#platform/sqlite";
import { refuseNewer, versionOf } from "./migrations.ts";
import { explainOpening, refuseDamaged } from "./opening-failures.ts";

/** What is larger is not read whole: that would take longer than anybody waits for an answer. */
const READ_WHOLE_BYTES = 512 * 1024 * 1024;

/** Looks at the folder and the file of the embedded database, which a server may have open, and changes nothing. */
export async function examineSqlite(dataDir: string): Promise<Finding[]> {
  const folder = await dataDirectory(dataDir);
  const path = join(dataDir, "fractal.db");
  if (folder.status !== "ok" || !existsSync(path)) return [folder];
  return [folder, await file(path)];
}

async function file(path: string): Promise<Finding> {
  const id = "data.file";
  let db: SqliteDatabase | undefined;
  try {
    db = await openSqliteReadOnly(path);
    db.exec("pragma busy_timeout = 5000");
    refuseNewer(db, path);
    // Reads the list of tables, which a file that only begins as it should does not have.
    db.prepare("select count(*) from sqlite_schema").get();
    const { size } = statSync(path);
    const text = `${path} has data version ${versionOf(db)}`;
    if (size > READ_WHOLE_BYTES) {
      return { id, status: "ok", text: `${text}; it is too large (${Math.round(size / 2 ** 20)} MB) to be read whole` };
    }
    refuseDamaged(db, path);
    return { id, status: "ok", text: `${text} and is not damaged` };
  } catch (error) {
    const explained = explainOpening(error, path);
    if (!(explained instanceof StorageError)) throw error;
    return { id, status: "fail", text: explained.detail };
  } finally {
    db?.close();
  }
}

/** It may not be there yet: then what counts is the nearest folder above it. */
async function dataDirectory(path: string): Promise<Finding> {
  const id = "data.directory";
  const advice = "Set FRACTAL_DATA_DIR to a folder that can be written.";
  try {
    if (!(await stat(path)).isDirectory()) return { id, status: "fail", text: `${path} is not a folder`, advice };
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return { id, status: "ok", text: `${path} can be written` };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    if (code !== "ENOENT" || dirname(path) === path) {
      return { id, status: "fail", text: `${path} cannot be used (${code})`, advice };
    }
    const above = await dataDirectory(dirname(path));
    return above.status === "ok" ? { id, status: "ok", text: `${path} will be made at the first start` } : above;
  }
}
