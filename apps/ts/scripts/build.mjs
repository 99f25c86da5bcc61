// Makes dist/ for the package: our own code and the workspace packages in one bundle, npm packages left to npm.
// Runs under Bun. Fails when the bundle would import a package that a user's `npm install` does not bring.
import { readFileSync, rmSync } from "node:fs";
import { builtinModules } from "node:module";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = fileURLToPath(new URL("../dist", import.meta.url));
const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const promised = new Set([
  ...Object.keys(manifest.dependencies ?? {}),
  ...Object.keys(manifest.peerDependencies ?? {}),
]);
const builtins = new Set([...builtinModules, "bun"]);

/** "@scope/name/sub" to "@scope/name". */
const packageOf = (specifier) => specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
const broken = new Map();

const leavePackagesOut = {
  name: "leave-packages-out",
  setup(build) {
    build.onResolve({ filter: /^[^./#]/ }, ({ path, importer, kind }) => {
      if (kind === "entry-point" || path.startsWith("@fractal-agents/")) return undefined;
      const name = packageOf(path);
      if (!path.includes(":") && !builtins.has(name) && !promised.has(name)) broken.set(name, importer);
      return { path, external: true };
    });
  },
};

rmSync(dist, { recursive: true, force: true });
const result = await Bun.build({
  // Threads are started by their file names (storage/postgres/keeper.ts, platform/watchdog.ts).
  entrypoints: ["index", "storage/postgres/keeper-thread", "platform/watchdog-thread"].map(
    (name) => `${root}src/${name}.ts`,
  ),
  outdir: dist,
  root: `${root}src`,
  target: "node",
  format: "esm",
  splitting: true,
  // Stack traces of a user's bug report should be readable.
  minify: false,
  sourcemap: "linked",
  naming: { entry: "[name].js", chunk: "chunks/[name]-[hash].js" },
  plugins: [leavePackagesOut],
});
if (broken.size > 0) {
  for (const [name, importer] of broken) {
    process.stderr.write(
      `${name} is imported by ${importer.replace(root, "")} but is no dependency of ${manifest.name}\n`,
    );
  }
  process.exit(1);
}
if (!result.success) process.exit(1);
const bytes = result.outputs.filter(({ kind }) => kind !== "sourcemap").reduce((sum, { size }) => sum + size, 0);
process.stdout.write(`dist/: ${result.outputs.length} files, ${Math.round(bytes / 1024)} KB of code\n`);
