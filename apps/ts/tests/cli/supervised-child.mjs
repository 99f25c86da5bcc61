// A server in miniature for the tests of the supervisor: says its pid, then does what its plan says for this start.
import { appendFileSync, readFileSync } from "node:fs";

const [log, ...plan] = process.argv.slice(2);
const { FRACTAL_SUPERVISED, FRACTAL_LAST_PORT, FRACTAL_INTERNAL_WORKER: worker, FRACTAL_WORKERS } = process.env;
const several = FRACTAL_WORKERS === undefined ? "" : ` ${worker}/${FRACTAL_WORKERS}`;
appendFileSync(log, `${FRACTAL_SUPERVISED} ${FRACTAL_LAST_PORT}${several}\n`);
const starts = readFileSync(log, "utf8").trim().split("\n").length;
const step = plan[starts - 1] ?? "serve";

process.on("disconnect", () => {
  appendFileSync(log, "orphaned\n");
  process.exit(0);
});
process.on("SIGTERM", () => {
  process.stdout.write("SIGTERM\n");
  if (!step.startsWith("deaf")) process.exit(0);
});
process.on("SIGINT", () => process.stdout.write("SIGINT\n"));

process.stdout.write(`${step} ${process.pid}\n`);
if (step === "deaf-soon") process.send({ type: "starting", grace_ms: 100 });
if (step.startsWith("work:")) {
  // At work, but a run ends it before it is ready.
  process.send({ type: "lease", id: `lease-${starts}` }, () => process.exit(Number(step.slice(5))));
  await new Promise(() => setInterval(() => undefined, 60_000));
}
if (step.startsWith("exit:")) process.exit(Number(step.slice(5)));
if (step === "killed") process.kill(process.pid, "SIGKILL");
// The supervisor may be dead already: then there is nobody to tell, and the disconnect says so.
process.send({ type: "ready", port: 4567, workers: Number(process.env.PROBE_WORKERS ?? 1) }, () => undefined);
if (step.startsWith("later:")) setImmediate(() => process.exit(Number(step.slice(6))));
// Busy in user code: signals are not even seen.
if (step.startsWith("deaf")) for (;;);
setInterval(() => undefined, 60_000);
