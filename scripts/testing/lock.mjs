/** Packages that are one binary per platform: a lock that lacks a platform breaks `npm ci` there (or installs nothing). */
const NATIVE = {
  "package-lock.json": [
    "@oven/bun-linux-x64",
    "@oven/bun-linux-x64-musl",
    "@oven/bun-linux-aarch64",
    "@oven/bun-linux-aarch64-musl",
    "@oven/bun-darwin-x64",
    "@oven/bun-darwin-aarch64",
    "@oven/bun-windows-x64",
  ],
  "scripts/tools/package-lock.json": [
    "@biomejs/cli-linux-x64",
    "@biomejs/cli-linux-x64-musl",
    "@biomejs/cli-linux-arm64",
    "@biomejs/cli-linux-arm64-musl",
    "@biomejs/cli-darwin-x64",
    "@biomejs/cli-darwin-arm64",
    "@biomejs/cli-win32-x64",
    "@biomejs/cli-win32-arm64",
  ],
};

const REGISTRY = "https://registry.npmjs.org/";

/**
 * What is wrong with a lock file: a platform is missing, a package comes from another host than the public registry
 * (a mirror of one machine), or has no checksum.
 * @param {string} file path of the lock in the repository, e.g. "package-lock.json"
 * @param {{ packages: Record<string, { version?: string, resolved?: string, integrity?: string, link?: boolean }> }} lock
 * @returns {string[]} complaints; none when the lock is good everywhere
 */
export function lockComplaints(file, lock) {
  const complaints = (NATIVE[file] ?? [])
    .filter((name) => !lock.packages[`node_modules/${name}`])
    .map((name) => `${file}: no entry for ${name}`);
  for (const [path, entry] of Object.entries(lock.packages)) {
    const isOurs = entry.link || entry.inBundle || !path.includes("node_modules/");
    if (isOurs) continue;
    if (entry.resolved && !entry.resolved.startsWith(REGISTRY))
      complaints.push(`${file}: ${path} comes from ${entry.resolved}`);
    if (!entry.integrity) complaints.push(`${file}: ${path} has no checksum`);
  }
  return complaints;
}
