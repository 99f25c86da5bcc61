import type { Scenario } from "./scenario.ts";
import { CLOCKS } from "./scenarios/clocks.ts";
import { DATABASE } from "./scenarios/database.ts";
import { DEPTH } from "./scenarios/depth.ts";
import { KILLS } from "./scenarios/kills.ts";
import { STOPS } from "./scenarios/stops.ts";
import { STORM } from "./scenarios/storm.ts";
import { STREAMS } from "./scenarios/streams.ts";
import { SURROUNDINGS } from "./scenarios/surroundings.ts";
import { TWO } from "./scenarios/two.ts";

export const SCENARIOS: readonly Scenario[] = [
  ...TWO,
  ...KILLS,
  ...STREAMS,
  ...STOPS,
  ...DATABASE,
  ...SURROUNDINGS,
  ...CLOCKS,
  ...DEPTH,
  ...STORM,
];
