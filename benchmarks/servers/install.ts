import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const BENCHMARKS = dirname(dirname(fileURLToPath(import.meta.url)));

/** A rival: a folder with its own package.json and lock, outside the workspaces. */
export type Peer = {
  /** Name of the folder below peers/. */
  name: string;
  /** For the line that is said before the install. */
  size: string;
  /** Files of the benchmark that it gets as copies, so that they find the packages beside them. */
  copies: readonly string[];
};

export const peerFolder = (name: string): string => join(BENCHMARKS, "peers", name);

/** Installs a rival from its own lock file when it is missing or older than the lock, and copies the files beside it. */
export function preparePeer({ name, size, copies }: Peer, say: (line: string) => void): void {
  const folder = peerFolder(name);
  const lock = join(folder, "package-lock.json");
  const installed = join(folder, "node_modules/.package-lock.json");
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
    say(`Installing the rival into benchmarks/peers/${name} (npm ci, once, about ${size}) ...`);
    const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: folder, encoding: "utf8" });
    if (npm.status !== 0) {
      throw new Error(`npm ci failed in ${folder}; leave the rival out with --only\n${npm.stdout}\n${npm.stderr}`);
    }
  }
  for (const file of copies) {
    const copy = join(folder, file);
    mkdirSync(dirname(copy), { recursive: true });
    cpSync(join(BENCHMARKS, file), copy);
  }
}
