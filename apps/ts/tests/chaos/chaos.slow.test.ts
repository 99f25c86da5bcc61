import { setDefaultTimeout } from "bun:test";
import { registerScenarios } from "./run.ts";

setDefaultTimeout(600_000);

await registerScenarios(true);
