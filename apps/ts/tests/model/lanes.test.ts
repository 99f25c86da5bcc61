import { describe } from "bun:test";
import { sqlite } from "../contract/sqlite-engine.ts";
import { lanesAgree } from "./lanes-agree.ts";

describe("the lane rules", () => {
  lanesAgree(sqlite, { runs: Number(process.env.MODEL_RUNS ?? 60) });
});
