import { setDefaultTimeout } from "bun:test";
import { remoteGraphSuite } from "./suites/remote-graph.ts";

setDefaultTimeout(30_000);

remoteGraphSuite("bun");
