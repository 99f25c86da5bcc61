import { setDefaultTimeout } from "bun:test";
import { registerScenarios } from "./run.ts";

setDefaultTimeout(180_000);

await registerScenarios(false);
