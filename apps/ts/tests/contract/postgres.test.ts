import { beforeAll, describe, setDefaultTimeout } from "bun:test";
import { lanesAgree } from "../model/lanes-agree.ts";
import { postgresAvailable } from "../servers/postgres.ts";
import { assistantsContract } from "./assistants.contract.ts";
import { checkpointOrderContract } from "./checkpoint-order.contract.ts";
import { checkpointPiecesContract } from "./checkpoint-pieces.contract.ts";
import { checkpointsContract } from "./checkpoints.contract.ts";
import { eventsContract } from "./events.contract.ts";
import { lanesContract } from "./lanes.contract.ts";
import { postgres } from "./postgres-engine.ts";
import { queueContract } from "./queue.contract.ts";
import { retentionContract } from "./retention.contract.ts";
import { runsContract } from "./runs.contract.ts";
import { runsFinishContract } from "./runs-finish.contract.ts";
import { runsRecoveryContract } from "./runs-recovery.contract.ts";
import { runsSuspectsContract } from "./runs-suspects.contract.ts";
import { storeContract } from "./store.contract.ts";
import { threadsContract } from "./threads.contract.ts";
import { workersContract } from "./workers.contract.ts";

const missing = await postgresAvailable();

setDefaultTimeout(30_000);

describe.skipIf(missing !== undefined)(`Postgres (${missing ?? "found"})`, () => {
  // The server of this process and its schema, before the first test has to wait for them.
  beforeAll(async () => {
    await (await postgres.open()).close();
  }, 120_000);

  assistantsContract(postgres);
  threadsContract(postgres);
  runsContract(postgres);
  runsFinishContract(postgres);
  runsRecoveryContract(postgres);
  runsSuspectsContract(postgres);
  queueContract(postgres);
  workersContract(postgres);
  lanesContract(postgres);
  checkpointsContract(postgres);
  checkpointOrderContract(postgres);
  checkpointPiecesContract(postgres);
  eventsContract(postgres);
  storeContract(postgres);
  retentionContract(postgres);
  lanesAgree(postgres, { runs: Number(process.env.MODEL_RUNS ?? 60) });
});
