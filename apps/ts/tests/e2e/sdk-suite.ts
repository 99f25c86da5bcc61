import { describe } from "bun:test";
import { type SdkLine, SdkSession } from "./sdk-session.ts";
import type { EngineName } from "./spawn-server.ts";
import { assistantsSuite } from "./suites/assistants.ts";
import { connectionsSuite } from "./suites/connections.ts";
import { interruptsSuite } from "./suites/interrupts.ts";
import { lessonsSuite } from "./suites/lessons.ts";
import { multitaskSuite } from "./suites/multitask.ts";
import { runsSuite } from "./suites/runs.ts";
import { streamsSuite } from "./suites/streams.ts";
import { threadsSuite } from "./suites/threads.ts";

/** What a user's program does with the SDK, against a server in a process of its own. */
export function sdkSuite(line: SdkLine, engine: EngineName): void {
  describe(`${line.name} against the server on ${engine}`, () => {
    const session = new SdkSession(line, { engine });
    assistantsSuite(session);
    threadsSuite(session);
    runsSuite(session);
    streamsSuite(session);
    interruptsSuite(session);
    multitaskSuite(session);
    connectionsSuite(session);
    lessonsSuite(session);
  });
}
