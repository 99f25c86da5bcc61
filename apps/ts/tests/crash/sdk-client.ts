import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { lines } from "../cli/lines.ts";

const script = fileURLToPath(new URL("sdk-client.mjs", import.meta.url));

export interface SdkEvent {
  event: string;
  // biome-ignore lint/suspicious/noExplicitAny: payloads are judged by the tests
  data: any;
}

/** Events of a run that the real SDK streams from a process of its own. Throws what it wrote when it failed. */
export async function* streamWithSdk(
  url: string,
  run: { threadId: string | null; assistantId: string; payload: object },
): AsyncGenerator<SdkEvent> {
  const client = spawn("node", [script, url, run.threadId ?? "", run.assistantId, JSON.stringify(run.payload)], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const gone = once(client, "exit");
  try {
    const [out, err] = [lines(client.stdout), lines(client.stderr)];
    for (let line = await out.next(); line !== ""; line = await out.next()) yield JSON.parse(line);
    const [code] = await gone;
    if (code !== 0) throw new Error(`the client ended with ${code}:\n${err.seen()}`);
  } finally {
    client.kill("SIGKILL");
  }
}
