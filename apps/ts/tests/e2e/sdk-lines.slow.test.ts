import { describe, setDefaultTimeout } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Client } from "@langchain/langgraph-sdk";
import { testNode } from "../crash/server.ts";
import { type SdkLine, sdkSuite } from "./sdk-suite.ts";

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
}

describe.skipIf(testNode === undefined)("under Node 24 (FRACTAL_TEST_NODE)", () => {
  sdkSuite({ name: "langgraph-sdk 1.15.0", Client }, "node");
});
