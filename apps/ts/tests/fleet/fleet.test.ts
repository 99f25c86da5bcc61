import { deafSuite } from "./deaf.suite.ts";
import { deletedSuite } from "./deleted.suite.ts";
import { endsSuite } from "./ends.suite.ts";
import { sharedSqlite, withoutHints } from "./engines.ts";
import { fleetSuite } from "./fleet.suite.ts";
import { lostAnswersSuite } from "./lost-answers.suite.ts";
import { movedSuite } from "./moved.suite.ts";
import { randomSuite } from "./random.suite.ts";

fleetSuite(sharedSqlite);
lostAnswersSuite(sharedSqlite);
movedSuite(sharedSqlite);
deafSuite(sharedSqlite);
endsSuite(sharedSqlite);
deletedSuite(sharedSqlite);
fleetSuite(withoutHints(sharedSqlite));
deletedSuite(withoutHints(sharedSqlite), false);
randomSuite(sharedSqlite, { rounds: 40 });
randomSuite(sharedSqlite, { rounds: 3, losses: true });
