import { type FSWatcher, readdirSync, statSync, watch } from "node:fs";
import { basename, dirname, extname, join } from "node:path";

export interface WatchOptions {
  /** Files that count by their exact path (langgraph.json, the env file), there now or made later. */
  files: readonly string[];
  /** Folders whose code counts, with everything below. */
  folders: readonly string[];
  onChange(path: string): void;
  /** A folder cannot be watched (the limit of the system, a network drive). */
  onError(error: Error): void;
}

const CODE = new Set([".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs"]);
/** Editors write a file in several steps, and `git checkout` writes many. */
const SETTLE_MS = 120;
/** A project with more folders than this is watched in part; the others need a restart by hand. */
const MAX_FOLDERS = 2_000;

/**
 * Watches code, not data: other files are left out, because a graph that writes its results into its own project would
 * restart itself for ever. One watcher per folder, since recursive ones walk into node_modules.
 */
export class ProjectWatcher {
  readonly #options: WatchOptions;
  readonly #exact: Set<string>;
  readonly #watchers = new Map<string, FSWatcher>();
  /** Folders whose code counts; of others only the exact files do. */
  readonly #code = new Set<string>();
  /** Size and time of what was last seen, so that a read or a touch of the folder is no change. */
  readonly #stamps = new Map<string, string>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#exact = new Set(options.files);
  }

  start(): this {
    for (const path of this.#exact) {
      this.#stamps.set(path, stamp(path));
      this.#watchFolder(dirname(path));
    }
    this.add(this.#options.folders);
    return this;
  }

  /** Watches the code of more folders. */
  add(folders: Iterable<string>): void {
    for (const folder of folders) if (!this.#code.has(folder)) this.#addTree(folder);
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #addTree(root: string): void {
    const open = [root];
    for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
      if (this.#watchers.size >= MAX_FOLDERS) return;
      this.#watchFolder(folder, true);
      for (const entry of entriesOf(folder)) {
        const path = join(folder, entry.name);
        if (entry.isDirectory()) {
          if (!isHidden(entry.name)) open.push(path);
        } else if (isCode(path)) {
          this.#stamps.set(path, stamp(path));
        }
      }
    }
  }

  #watchFolder(folder: string, code = false): void {
    const known = this.#watchers.has(folder);
    if (known && !code) return;
    if (code) this.#code.add(folder);
    this.#watchers.get(folder)?.close();
    try {
      const watcher = watch(folder, { persistent: false }, (_event, name) => {
        if (name !== null) this.#seen(join(folder, name), code);
      });
      watcher.on("error", (error) => this.#options.onError(error));
      this.#watchers.set(folder, watcher);
    } catch (error) {
      this.#options.onError(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #seen(path: string, code: boolean): void {
    if (!this.#exact.has(path)) {
      if (!code || isHidden(basename(path))) return;
      if (isFolder(path)) {
        if (!this.#watchers.has(path)) this.#addTree(path);
        return;
      }
      if (!isCode(path)) return;
    }
    const now = stamp(path);
    if (this.#stamps.get(path) === now) return;
    this.#stamps.set(path, now);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#options.onChange(path), SETTLE_MS);
  }
}

function isHidden(name: string): boolean {
  return name === "node_modules" || name.startsWith(".");
}

function isCode(path: string): boolean {
  return CODE.has(extname(path));
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** "" for a file that is not there. */
function stamp(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? "" : `${stats.size} ${stats.mtimeMs}`;
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return []; // Gone between being listed and being read, or not ours to read: nothing to watch there.
  }
}
