import { expect, it, setDefaultTimeout } from "bun:test";
import { join } from "node:path";
import { storageUnderTest } from "../servers/storage.ts";
import { checkFile } from "./check-file.ts";
import { CrashServer, eventually } from "./server.ts";

setDefaultTimeout(60_000);

it("takes the thread from a graph that does not hear its cancel, and refuses what it writes afterwards", async () => {
  await using server = await CrashServer.start(
    "bun",
    { FRACTAL_CANCEL_GRACE_SECONDS: "0" },
    join(import.meta.dir, "fixtures"),
  );
  const threadId = await server.thread();
  const runs = `/threads/${threadId}/runs`;
  const long = { assistant_id: "unhearing", input: { steps: 20, sleep_ms: 40 }, config: { recursion_limit: 100 } };
  const { run_id: runId } = await server.json(runs, long);
  await eventually(
    () => server.json(`/threads/${threadId}/state`),
    ({ values }) => values.count >= 3,
  );
  await server.json(`${runs}/${runId}/cancel?wait=true`, {});
  expect((await server.json(`${runs}/${runId}`)).status).toBe("interrupted");
  const left = await server.json(`/threads/${threadId}`);
  expect(left.status).toBe("interrupted");

  // Both write at the same time now, as far as they know.
  const steps = left.values.count + 15;
  const values = await server.json(`${runs}/wait`, {
    ...long,
    assistant_id: "counter",
    input: { steps, sleep_ms: 40 },
  });
  expect(values.log).toEqual(Array.from({ length: steps }, (_, i) => `step-${i + 1}`));
  const thread = await server.json(`/threads/${threadId}`);
  expect([thread.status, thread.values.count]).toEqual(["idle", steps]);
  expect((await server.json(`${runs}/${runId}`)).status).toBe("interrupted");
  // Postgres is looked at by the chaos suite.
  if (storageUnderTest === "sqlite") checkFile(server.dataDir);
});
