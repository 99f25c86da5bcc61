// Starts the rival in one process, the fastest way it has: startServer, without its CLI's file watcher and tsx wrapper.
// PORT: where to listen; BENCH_DATA_DIR: where it keeps its files; BENCH_GRAPHS: JSON of graph id -> "path:export".
import { startServer } from "@langchain/langgraph-api/server";

const { cleanup } = await startServer({
  host: "127.0.0.1",
  port: Number(process.env.PORT),
  nWorkers: 10,
  cwd: process.env.BENCH_DATA_DIR,
  graphs: JSON.parse(process.env.BENCH_GRAPHS),
});

for (const signal of ["SIGTERM", "SIGINT"]) {
  process.once(signal, async () => {
    await cleanup();
    process.exit(0);
  });
}
