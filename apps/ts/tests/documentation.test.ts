import { describe, expect, it } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const root = resolve(import.meta.dir, "../../..");

function pagesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return pagesBelow(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

const pages = ["README.md", "apps/ts/CHANGELOG.md", ...pagesBelow(".github"), ...pagesBelow("docs")];
const isPlaceholder = (path: string): boolean => /[<>*{}\s]/.test(path);

describe("the documentation", () => {
  it.each(pages)("of %s links only to what is there", (page) => {
    const text = readFileSync(join(root, page), "utf8").replaceAll(/<!--[\s\S]*?-->/g, "");
    const broken = [...text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)]
      .map(([, target]) => target as string)
      .filter((target) => !/^[a-z]+:/.test(target) && !existsSync(join(root, dirname(page), target)));
    expect(broken).toEqual([]);
  });

  it.each(pages)("of %s names only files and folders that are there", (page) => {
    const text = readFileSync(join(root, page), "utf8").replaceAll(/<!--[\s\S]*?-->|^```[\s\S]*?^```/gm, "");
    const named = [...text.matchAll(/`((?:apps|packages|benchmarks|scripts|docs|examples|\.ci|\.github)\/[^`]*)`/g)];
    const missing = named
      .map(([, path]) => path as string)
      .filter((path) => !isPlaceholder(path) && !existsSync(join(root, path)));
    expect(missing).toEqual([]);
  });

  it("keeps no note to its own authors", () => {
    const notes = pages.filter((page) => readFileSync(join(root, page), "utf8").includes("<!-- lead:"));
    expect(notes).toEqual([]);
  });

  it("keeps the README under 200 lines", () => {
    expect(readFileSync(join(root, "README.md"), "utf8").split("\n").length).toBeLessThan(200);
  });

  it("states the versions of LangGraph.js that the package promises", () => {
    const manifest = JSON.parse(readFileSync(join(root, "apps/ts/package.json"), "utf8"));
    const range: string = manifest.peerDependencies["@langchain/langgraph"];
    const page = readFileSync(join(root, "docs/conformance.md"), "utf8");
    expect(page).toContain(`\`@langchain/langgraph\`: \`${range}\``);
    expect(page).toContain(`gets ${manifest.dependencies["@langchain/langgraph"]}.`);
    expect(readFileSync(join(root, "README.md"), "utf8")).toContain(`from ${range.match(/[\d.]+/)?.[0]} to`);
  });
});
