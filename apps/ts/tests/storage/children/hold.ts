import { openSqliteStorage } from "#storage/sqlite/open";

/** Opens the directory given and keeps it until killed. */
await openSqliteStorage({ dataDir: process.argv[2] as string });
process.stdout.write("open\n");
setInterval(() => {}, 1000);
