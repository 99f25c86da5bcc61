import { beforeAll, describe, setDefaultTimeout } from "bun:test";
import { postgresAvailable } from "../servers/postgres.ts";
import { deafSuite } from "./deaf.suite.ts";
import { deletedSuite } from "./deleted.suite.ts";
import { endsSuite } from "./ends.suite.ts";
import { withoutHints } from "./engines.ts";
import { fleetSuite } from "./fleet.suite.ts";
import { goneSuite } from "./gone.suite.ts";
import { lostAnswersSuite } from "./lost-answers.suite.ts";
import { movedSuite } from "./moved.suite.ts";
import { sharedPostgres } from "./postgres-engine.ts";
import { randomSuite } from "./random.suite.ts";

const missing = await postgresAvailable();

setDefaultTimeout(60_000);

describe.skipIf(missing !== undefined)(`several servers on Postgres (${missing ?? "found"})`, () => {
  // The server of this process, before the first test has to wait for it.
  beforeAll(async () => {
    await using database = await sharedPostgres.open();
    await (await database.connect())[Symbol.asyncDispose]();
  }, 120_000);

  fleetSuite(sharedPostgres);
  lostAnswersSuite(sharedPostgres);
  movedSuite(sharedPostgres);
  deafSuite(sharedPostgres);
  endsSuite(sharedPostgres);
  deletedSuite(sharedPostgres);
  goneSuite(sharedPostgres);
  fleetSuite(withoutHints(sharedPostgres));
  deletedSuite(withoutHints(sharedPostgres), false);
  randomSuite(sharedPostgres, { rounds: 15 });
  randomSuite(sharedPostgres, { rounds: 3, losses: true });
});
