import { setDefaultTimeout } from "bun:test";
import { killSuite } from "./kill-suite.ts";

setDefaultTimeout(60_000);

killSuite("bun");
