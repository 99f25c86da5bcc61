import { describe, expect, it, setDefaultTimeout } from "bun:test";
import { postgresAvailable } from "../servers/postgres.ts";
import { Bed } from "./bed.ts";
import { commitHoldsTheLane, deadWorkersClaimNothing, epochsGrow, zombieWritesNothing } from "./checks-fence.ts";
import {
  attemptsAreCapped,
  claimTakesLaneAndRun,
  enqueueKeepsOrder,
  finalIsFinal,
  neighboursSurvive,
  rejectLetsOneIn,
  rollbackLeavesNothing,
  secondRunningIsRefused,
} from "./checks-lanes.ts";
import { headIsWrittenLast } from "./checks-order.ts";
import { MUTATIONS, withBreakpoint } from "./mutations.ts";

setDefaultTimeout(120_000);

const missing = await postgresAvailable();

const CHECKS = {
  "I1: a claim takes the lane together with a run that may be taken, even one that came while it began":
    claimTakesLaneAndRun,
  "I1: the status of a run that has ended does not change": finalIsFinal,
  "I2: two runs of a thread cannot be stored as running": secondRunningIsRefused,
  "I3, I13: an attempt that lost its lane writes nothing, whatever became of the lane": zombieWritesNothing,
  "I3: a commit that has begun is over before the lane is taken": commitHoldsTheLane,
  "I3: epochs grow with every attempt and every sweep": epochsGrow,
  "I3: a worker that is gone or drains is given nothing": deadWorkersClaimNothing,
  "I6: a run that kills its workers is given up after its attempts, and the next one of its thread is not":
    attemptsAreCapped,
  "I6: the runs beside one that kills its workers succeed": neighboursSurvive,
  "I10: T-REJECT: of 12 concurrent creates on an idle thread exactly one is accepted, 100 times": rejectLetsOneIn,
  "I11: runs start in the order of their creation": enqueueKeepsOrder,
  "I14: T-ROLLBACK: a rollback leaves the thread as it was, byte for byte": rollbackLeavesNothing,
  "I19: the head of a thread is what was written last, whatever the clocks of the writers say": headIsWrittenLast,
};

describe.skipIf(missing !== undefined)(`invariants of the Postgres storage (${missing ?? "two processes"})`, () => {
  for (const [name, check] of Object.entries(CHECKS)) {
    it(name, async () => {
      await using bed = await Bed.open(...withBreakpoint(check));
      expect(await check(bed)).toBeUndefined();
    });
  }

  it("each of them has a change of the SQL that it notices", () => {
    const noticed = new Set(MUTATIONS.map(({ check }) => check));
    const unproved = Object.entries(CHECKS).filter(([, check]) => !noticed.has(check));
    expect(unproved.map(([name]) => name)).toEqual([]);
  });
});
