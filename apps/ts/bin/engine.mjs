// Which program runs the server: Bun (ours, from npm) where it runs, else a Node that is new enough.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import * as util from "node:util";

// node:sqlite without a flag.
const NODE_FLOOR = [22, 13];
// From here on TypeScript is run without a flag.
const NODE_TYPES = [22, 18];
const BUN_FLOOR = [1, 4];

/**
 * Settings that are needed before there is an engine to read the configuration: as there, the environment is over .env, and
 * an empty value is not set. @returns {(name: string) => string | undefined}
 */
export function launchSettings(environment) {
  let text = "";
  try {
    text = readFileSync(".env", "utf8").replace(/^\uFEFF/, "");
  } catch {
    // No such file, or not readable: the server says so if it matters.
  }
  const file = util.parseEnv?.(text) ?? {};
  return (name) => [environment[name], file[name]].map((value) => value?.trim()).find((value) => value);
}

/**
 * @param {{ fromSource: boolean, wanted: string | undefined }} options `wanted`: FRACTAL_ENGINE=bun|node decides; otherwise
 *   a Bun that already runs this file, the Bun of our dependency, then this Node.
 * @returns {{ command?: string, args?: string[], inProcess?: boolean, problem?: string }} `inProcess`: this very process would do.
 */
export function chooseEngine({ fromSource, wanted: asked }) {
  const wanted = asked?.toLowerCase();
  if (wanted !== undefined && wanted !== "bun" && wanted !== "node") {
    return { problem: `FRACTAL_ENGINE is "${asked}"; it can be "bun" or "node".` };
  }
  const running = process.versions.bun;
  if (wanted !== "node") {
    if (running !== undefined && atLeast(running, BUN_FLOOR)) {
      return { command: process.execPath, args: ["--no-env-file"], inProcess: true };
    }
    const bun = findBun();
    // The server reads .env by itself, the same on both engines; Bun would also take .env.local and others.
    if (bun !== undefined) return { command: bun, args: ["--no-env-file"], inProcess: false };
    if (wanted === "bun")
      return {
        problem:
          'The package "bun" is not installed or does not run here; run `npm install` again, with scripts allowed.',
      };
  }
  const node = running === undefined ? process.versions.node : undefined;
  if (node !== undefined && atLeast(node, NODE_FLOOR)) {
    const args = ["--disable-warning=ExperimentalWarning"];
    if (fromSource && !atLeast(node, NODE_TYPES)) args.push("--experimental-strip-types");
    return { command: process.execPath, args, inProcess: false };
  }
  const found = node === undefined ? "" : ` (this is ${node})`;
  return {
    problem:
      wanted === "node"
        ? `FRACTAL_ENGINE=node needs Node ${NODE_FLOOR.join(".")} or newer${found}.`
        : `No engine to run on: install the "bun" package again (\`npm install\` with scripts allowed), or use Node ${NODE_FLOOR.join(".")} or newer${found}.`,
  };
}

/** The binary of our own dependency, if it starts on this machine. */
function findBun() {
  const require = createRequire(import.meta.url);
  let root;
  try {
    root = dirname(require.resolve("bun/package.json"));
  } catch {
    return undefined; // Not installed: the caller goes on to Node or says what to do.
  }
  const suffix = process.platform === "win32" ? ".exe" : "";
  const candidates = [join(root, "bin", "bun.exe")];
  // Without install scripts bin/bun.exe is a placeholder, and the binary still lies in the package for this platform.
  const arch = { arm64: "aarch64", x64: "x64" }[process.arch] ?? process.arch;
  const system = process.platform === "win32" ? "windows" : process.platform;
  for (const variant of ["", "-musl"]) {
    candidates.push(join(root, "..", "@oven", `bun-${system}-${arch}${variant}`, "bin", `bun${suffix}`));
  }
  return candidates.find((path) => existsSync(path) && statSync(path).size > 1_000_000 && runs(path));
}

function runs(path) {
  const result = spawnSync(path, ["--version"], { encoding: "utf8", timeout: 20_000 });
  return result.status === 0 && atLeast(result.stdout.trim(), BUN_FLOOR);
}

function atLeast(version, floor) {
  const [major, minor] = version.split(".").map(Number);
  return major > floor[0] || (major === floor[0] && minor >= floor[1]);
}
