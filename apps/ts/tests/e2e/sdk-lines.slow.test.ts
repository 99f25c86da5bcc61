import { describe, setDefaultTimeout } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Client } from "@langchain/langgraph-sdk";
import type { SdkLine } from "./sdk-session.ts";
import { sdkSuite } from "./sdk-suite.ts";
import { testNode } from "./spawn-server.ts";
import { projectSuite } from "./suites/project.ts";
import { remoteGraphSuite } from "./suites/remote-graph.ts";

setDefaultTimeout(60_000);

/** npm's `latest` is the older line 2.0.0; 1.9.31 repeats every call. Installed by `npm ci` in this folder. */
const older = [
  { name: "langgraph-sdk 1.9.31", folder: "sdk-1-9" },
  { name: "langgraph-sdk 2.0.0", folder: "sdk-2-0" },
];

for (const { name, folder } of older) {
  const installed = existsSync(join(import.meta.dir, "node_modules", folder));
  const line = installed ? ((await import(folder)) as Pick<SdkLine, "Client">) : { Client };
  describe.skipIf(!installed)(`${name} (npm ci in apps/ts/tests/e2e)`, () => {
    sdkSuite({ name, Client: line.Client }, "bun");
  });
  describe.skipIf(!installed || testNode === undefined)(`${name} (FRACTAL_TEST_NODE)`, () => {
    sdkSuite({ name, Client: line.Client }, "node");
  });
}

describe.skipIf(testNode === undefined)("under Node 24 (FRACTAL_TEST_NODE)", () => {
  sdkSuite({ name: "langgraph-sdk 1.15.0", Client }, "node");
  remoteGraphSuite("node");
  projectSuite("node");
});
