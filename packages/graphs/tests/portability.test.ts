import { describe, expect, it } from "bun:test";
import { readFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";

const PACKAGE = join(import.meta.dir, "..");
const SOURCE = join(PACKAGE, "src");

/** Every module that the package's own code names, statically or by `import()`. */
async function imports(): Promise<{ file: string; target: string }[]> {
  const found: { file: string; target: string }[] = [];
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  for await (const name of new Bun.Glob("**/*.ts").scan(SOURCE)) {
    if (name.endsWith(".test.ts")) continue;
    const text = await readFile(join(SOURCE, name), "utf8");
    const typed = [...text.matchAll(/^import type .* from "([^"]+)";$/gm)].map((match) => match[1] ?? "");
    const targets = [...transpiler.scanImports(text).map(({ path }) => path), ...typed];
    found.push(...targets.map((target) => ({ file: join(SOURCE, name), target })));
  }
  return found;
}

describe("the graphs package", () => {
  it("imports its own files, what its package.json names, and node's built-in modules: no server, no storage", async () => {
    const { dependencies } = JSON.parse(await readFile(join(PACKAGE, "package.json"), "utf8")) as {
      dependencies: object;
    };
    const all = await imports();
    const foreign = all.filter(({ file, target }) => {
      if (target.startsWith(".")) return relative(SOURCE, join(dirname(file), target)).startsWith("..");
      if (target.startsWith("node:")) return /^node:(sqlite|http|net|fs)/.test(target);
      return !Object.keys(dependencies).some((name) => target === name || target.startsWith(`${name}/`));
    });
    expect(foreign).toEqual([]);
    expect(all.length).toBeGreaterThan(40);
  });

  it("loads its catalogue without loading LangChain or a provider", async () => {
    const catalogue = join(SOURCE, "catalogue.ts");
    const script = `
      const { SHIPPED_GRAPHS } = await import(${JSON.stringify(catalogue)});
      SHIPPED_GRAPHS.forEach((graph) => graph.configSchema({}));
      process.stdout.write(JSON.stringify(Object.keys(require.cache).filter((path) => path.includes("langchain"))));`;
    const child = Bun.spawn([process.execPath, "-e", script], { cwd: PACKAGE, stderr: "inherit" });
    expect(await new Response(child.stdout).text()).toBe("[]");
    expect(await child.exited).toBe(0);
  });

  it("ships every graph of its catalogue in working order", async () => {
    const { SHIPPED_GRAPHS } = await import("../src/catalogue.ts");
    expect(SHIPPED_GRAPHS.map((graph) => graph.id)).toContain("agent");
    for (const shipped of SHIPPED_GRAPHS) {
      expect(shipped.description).not.toBe("");
      expect(shipped.configSchema({ MODEL_NAME: "fake:echo" }).properties).toMatchObject({
        model_name: { default: "fake:echo" },
      });
      const factory = await shipped.load({ MODEL_NAME: "fake:echo" });
      const { messages } = await (await factory({})).invoke({ messages: [{ role: "user", content: "hi" }] });
      expect(messages.at(-1)?.text).toBe("echo: hi");
    }
  });
});
