import { afterAll, describe, expect, it } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { joinReports, judge } from "./coverage.mjs";
import { lockComplaints } from "./lock.mjs";
import { readReport } from "./report.mjs";
import { findSuites } from "./suites.mjs";
import { testEnvironment } from "./workspace.mjs";

const folder = mkdtempSync(join(tmpdir(), "fractal-testing-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const write = (file, text = "") => {
  const path = join(folder, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
};

describe("the test report", () => {
  it("counts what passed and names what failed and what was skipped", () => {
    const report = write(
      "report.xml",
      `<testsuites><testsuite name="a.test.ts">
        <testcase name="adds &lt;two&gt;" classname="sum" file="a.test.ts" assertions="1" />
        <testcase name="sub&#45;tracts" classname="sum" file="a.test.ts">
          <failure type="AssertionError" message="1 > 2" />
        </testcase>
        <testcase name="divides" classname="" file="a.test.ts"><skipped /></testcase>
      </testsuite></testsuites>`,
    );
    expect(readReport(report)).toEqual({
      passed: 1,
      failures: ["a.test.ts > sum > sub-tracts"],
      skipped: ["a.test.ts > divides"],
    });
  });

  it("is empty when the process died before it wrote one", () => {
    expect(readReport(join(folder, "none.xml"))).toEqual({ passed: 0, failures: [], skipped: [] });
  });
});

describe("the suites", () => {
  const tree = (root, files) => {
    for (const file of files) write(`${root}/${file}`);
    return findSuites(join(folder, root));
  };

  it("are one per folder, long ones last and alone, without fixtures and dependencies", () => {
    const suites = tree("tree", [
      "apps/ts/src/core/runs/state.test.ts",
      "apps/ts/src/schemas/common.test.ts",
      "apps/ts/tests/storage/files.test.ts",
      "apps/ts/tests/storage/kills.slow.test.ts",
      "apps/ts/tests/fixtures/project/own.test.ts",
      "apps/ts/node_modules/x/x.test.ts",
      "packages/infra/src/ids.test.ts",
    ]);
    expect(suites).toEqual([
      {
        name: "apps/ts",
        slow: false,
        files: ["./apps/ts/src/core/runs/state.test.ts", "./apps/ts/src/schemas/common.test.ts"],
        storage: "sqlite",
      },
      {
        name: "apps/ts/tests/storage",
        slow: false,
        files: ["./apps/ts/tests/storage/files.test.ts"],
        storage: "sqlite",
      },
      { name: "packages/infra", slow: false, files: ["./packages/infra/src/ids.test.ts"], storage: "sqlite" },
      {
        name: "apps/ts/tests/storage/kills.slow.test.ts",
        slow: true,
        files: ["./apps/ts/tests/storage/kills.slow.test.ts"],
        storage: "sqlite",
      },
    ]);
  });

  it("run once more on PostgreSQL where they are about the server, without what is about the embedded file", () => {
    const crashes = "./apps/ts/tests/crash/crash.test.ts";
    const fullDisk = "./apps/ts/tests/crash/full-disk.test.ts";
    const suites = tree("twice", [crashes, fullDisk]);
    expect(suites).toEqual([
      { name: "apps/ts/tests/crash", slow: false, files: [crashes, fullDisk], storage: "sqlite" },
      { name: "apps/ts/tests/crash on postgres", slow: false, files: [crashes], storage: "postgres" },
    ]);
  });

  it("run once where every file is about the embedded one, and twice also when they are slow", () => {
    const suites = tree("once", [
      "apps/ts/tests/crash/full-disk.test.ts",
      "apps/ts/tests/cli/pack.slow.test.ts",
      "apps/ts/tests/e2e/long.slow.test.ts",
    ]);
    expect(suites.map(({ name, storage }) => [name, storage])).toEqual([
      ["apps/ts/tests/crash", "sqlite"],
      ["apps/ts/tests/cli/pack.slow.test.ts", "sqlite"],
      ["apps/ts/tests/e2e/long.slow.test.ts", "sqlite"],
      ["apps/ts/tests/e2e/long.slow.test.ts on postgres", "postgres"],
    ]);
  });

  it("run without the developer's keys and settings", () => {
    const env = testEnvironment({
      PATH: "/bin",
      OPENAI_API_KEY: "sk",
      MODEL_NAME: "openai:x",
      DATABASE_URL: "postgres://",
      FRACTAL_DATA_DIR: "/data",
      FRACTAL_TEST_NODE: "/node24",
    });
    expect(env).toEqual({ PATH: "/bin", FRACTAL_TEST_NODE: "/node24" });
  });
});

describe("the coverage floors", () => {
  const floors = { global: 80, perFile: 60, exceptions: { "main.ts": { floor: 10, reason: "runs as a process" } } };

  it("count a line as covered when any suite ran it", () => {
    const files = joinReports(["SF:a.ts\nDA:1,1\nDA:2,0\nend_of_record\n", "SF:a.ts\nDA:1,0\nDA:2,3\nend_of_record\n"]);
    expect([...(files.get("a.ts") ?? [])]).toEqual([
      [1, 1],
      [2, 3],
    ]);
  });

  it("accept files above them and an exception with a reason", () => {
    const measured = [
      { file: "a.ts", found: 100, hit: 95 },
      { file: "main.ts", found: 10, hit: 2 },
    ];
    expect(judge(measured, floors).complaints).toEqual([]);
  });

  it("accept a folder that Bun cannot see, and leave it out of the whole", () => {
    const exceptions = { "page/client/": { floor: 0, reason: "runs in a browser" } };
    const measured = [
      { file: "a.ts", found: 10, hit: 9 },
      { file: "page/client/chat.ts", found: 1000, hit: 0 },
    ];
    expect(judge(measured, { ...floors, exceptions })).toEqual({ overall: 90, complaints: [] });
  });

  it("complain about a weak file, a weak whole, and an exception that is not needed or belongs to nothing", () => {
    const weak = judge([{ file: "a.ts", found: 10, hit: 5 }], floors).complaints;
    expect(weak).toHaveLength(3);
    expect(weak[0]).toStartWith("a.ts: 50.0 % of 10 lines, the floor is 60 %");
    expect(weak[1]).toStartWith("main.ts: an exception for what is not there");
    expect(weak[2]).toStartWith("all files: 50.0 %");
    const healed = judge([{ file: "main.ts", found: 10, hit: 9 }], floors).complaints;
    expect(healed).toEqual(["main.ts: 90.0 %, its exception is not needed any more"]);
  });
});

describe("the lock gate", () => {
  const good = { resolved: "https://registry.npmjs.org/zod/-/zod-4.6.7.tgz", integrity: "sha512-x" };

  it("accepts packages of the public registry, with or without an address, and our own workspaces", () => {
    const packages = {
      "": {},
      "apps/ts": {},
      "node_modules/ours": { link: true, resolved: "apps/ts" },
      "node_modules/zod": good,
    };
    expect(lockComplaints("other/package-lock.json", { packages })).toEqual([]);
    packages["node_modules/zod"] = { integrity: "sha512-x" };
    expect(lockComplaints("other/package-lock.json", { packages })).toEqual([]);
  });

  it("names a missing platform, a foreign host and a missing checksum", () => {
    const packages = {
      "node_modules/zod": { ...good, resolved: "http://localhost:4873/zod.tgz" },
      "node_modules/x": {},
    };
    const complaints = lockComplaints("scripts/tools/package-lock.json", { packages });
    expect(complaints).toContain("scripts/tools/package-lock.json: no entry for @biomejs/cli-linux-arm64-musl");
    expect(complaints).toContain(
      "scripts/tools/package-lock.json: node_modules/zod comes from http://localhost:4873/zod.tgz",
    );
    expect(complaints).toContain("scripts/tools/package-lock.json: node_modules/x has no checksum");
  });
});
