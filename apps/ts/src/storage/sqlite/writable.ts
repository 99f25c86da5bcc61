import { statfs } from "node:fs/promises";
import { RuntimeError } from "#core/errors";
import type { Connection } from "./connection.ts";

/** A tiny write may fit where no other does: into space that the database has already. */
const ROOM_BYTES = 1024 * 1024;

/** Rejects while the data directory cannot be written. */
export async function provenWritable(connection: Connection, dataDir: string): Promise<void> {
  if (!connection.health.isUnknown) return;
  const room = await roomIn(dataDir);
  if (room < ROOM_BYTES) throw new RuntimeError("unavailable", "The disk that holds the data directory is full");
  await connection.write(() => {
    const version = connection.sql("pragma user_version").get<{ user_version: number }>()?.user_version ?? 0;
    // The same number again is a write all the same.
    connection.exec(`pragma user_version = ${version}`);
  });
}

/** What this process may still write there; Infinity on file systems that do not say. */
async function roomIn(path: string): Promise<number> {
  try {
    const { blocks, bavail, bfree, bsize } = await statfs(path);
    if (blocks === 0) return Number.POSITIVE_INFINITY;
    return (process.getuid?.() === 0 ? bfree : bavail) * bsize;
  } catch {
    // The write says what is wrong.
    return Number.POSITIVE_INFINITY;
  }
}
