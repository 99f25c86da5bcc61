import { closeSync, fstatSync, openSync, type Stats, statSync } from "node:fs";

/**
 * A file that this process has open, and the path under which others find it. Held open itself: on file systems that give
 * a file another number now and then, both numbers change. Close it only after SQLite has closed the file: the locks of a
 * process on a file go with the first of its descriptors.
 */
export class OpenFile {
  readonly path: string;
  readonly #descriptor: number;

  constructor(path: string) {
    this.path = path;
    this.#descriptor = openSync(path, "r");
  }

  /** False when the file was deleted, moved or replaced, or its directory, or its file system is gone. */
  isInPlace(): boolean {
    const there = look(this.path);
    if (there === undefined) return false;
    const here = fstatSync(this.#descriptor);
    return there.ino === here.ino && there.dev === here.dev;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

function look(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    // Whatever the reason, nobody who opens this path now gets our file.
    return undefined;
  }
}
