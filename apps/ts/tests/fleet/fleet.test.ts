import { deafSuite } from "./deaf.suite.ts";
import { endsSuite } from "./ends.suite.ts";
import { sharedSqlite, withoutHints } from "./engines.ts";
import { fleetSuite } from "./fleet.suite.ts";
import { goneSuite } from "./gone.suite.ts";
import { lostAnswersSuite } from "./lost-answers.suite.ts";
import { movedSuite } from "./moved.suite.ts";
import { randomSuite } from "./random.suite.ts";

fleetSuite(sharedSqlite);
lostAnswersSuite(sharedSqlite);
movedSuite(sharedSqlite);
deafSuite(sharedSqlite);
endsSuite(sharedSqlite);
goneSuite(sharedSqlite);
fleetSuite(withoutHints(sharedSqlite));
randomSuite(sharedSqlite, { rounds: 40 });
randomSuite(sharedSqlite, { rounds: 3, losses: true });
