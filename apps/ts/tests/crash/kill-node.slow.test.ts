import { describe, setDefaultTimeout } from "bun:test";
import { killSuite } from "./kill-suite.ts";
import { testNode } from "./server.ts";

setDefaultTimeout(120_000);

describe.skipIf(testNode === undefined)("the server under Node 24 (FRACTAL_TEST_NODE)", () => killSuite("node"));
