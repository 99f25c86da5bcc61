// `npm run soak -- --minutes 30 --storage sqlite`: mixed load with clients that vanish, at a steady pace. Prints the mean
// memory of each minute. Ends with 1 when memory still grows after the fifth minute, or a request failed.
import { parseArgs } from "node:util";
import { Instance } from "../chaos/instance.ts";
import { generator, pause } from "../chaos/scenario.ts";
import { sharedPostgres } from "../servers/postgres.ts";
import { Clients } from "./clients.ts";
import { flat, mean } from "./flat.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    storage: { type: "string", default: "sqlite" },
    clients: { type: "string", default: "10" },
    pace: { type: "string", default: "400" },
    seed: { type: "string", default: "1" },
  },
});
const minutes = Number(values.minutes);
const clients = Number(values.clients);
if (!(minutes > 0) || !(clients > 0) || !["sqlite", "postgres"].includes(values.storage)) {
  process.stderr.write("Usage: npm run soak -- --minutes N --storage sqlite|postgres --clients N --pace MS --seed N\n");
  process.exit(64);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(130));
const say = (text: string) => process.stdout.write(`${text}\n`);

const env: Record<string, string> =
  values.storage === "postgres" ? { DATABASE_URL: await (await sharedPostgres()).createDatabase() } : {};
const server = new Instance("server", { env });
await server.start();
const load = new Clients({ url: server.url, random: generator(Number(values.seed)), paceMs: Number(values.pace) });
await load.start(clients);
say(`${values.storage}, ${clients} clients, ${minutes} minutes, seed ${values.seed}`);
const means: number[] = [];
for (let minute = 1; minute <= minutes && server.running; minute++) {
  const samples: number[] = [];
  for (let i = 0; i < 60; i++) {
    await pause(1_000);
    if (server.running) samples.push(server.rss);
  }
  means.push(mean(samples));
  const requests = [...load.counts.values()].reduce((sum, count) => sum + count, 0);
  say(`minute ${minute}: ${mean(samples).toFixed(0)} MiB, ${requests} requests, ${load.failures.length} failed`);
}
await load.stop();
const exit = server.running ? await server.stop() : -1;
const verdict = flat(means);
say([...load.counts].map(([name, count]) => `${name} ${count}`).join(", "));
for (const failure of load.failures.slice(0, 10)) say(`failed: ${failure}`);
for (const line of server.complaints().slice(0, 10)) say(`log: ${line}`);
say(`${verdict.text}; the server ended with ${exit}`);
process.exit(verdict.flat && exit === 0 && load.failures.length === 0 ? 0 : 1);
