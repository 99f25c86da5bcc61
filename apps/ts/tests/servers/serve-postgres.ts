// One PostgreSQL server for all suites of a test run: prints its URL, or why there is none, and lives as long as its input.
import { PostgresServer, postgresAvailable } from "./postgres.ts";

const reason = await postgresAvailable();
if (reason !== undefined) {
  console.log(`none ${reason.replaceAll("\n", " ")}`);
  process.exit(0);
}
const server = await PostgresServer.start();
console.log(`url ${server.url("postgres")}`);
process.stdin.resume();
process.stdin.on("end", async () => {
  await server[Symbol.asyncDispose]();
  process.exit(0);
});
