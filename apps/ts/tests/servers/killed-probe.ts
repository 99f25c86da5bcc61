// A test process that is about to be killed: starts a Postgres server and says where.
import pg from "pg";
import { PostgresServer } from "./postgres.ts";

const server = await PostgresServer.start();
const client = new pg.Client({ connectionString: server.url() });
await client.connect();
const folder = (await client.query("show data_directory")).rows[0].data_directory;
process.stdout.write(`${JSON.stringify({ url: server.url(), folder })}\n`);
