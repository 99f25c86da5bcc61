import { expect, it } from "bun:test";
import { NO_SIGNALS } from "#core/signals";
import { Audience } from "./audience.ts";
import { FeedHub } from "./hub.ts";

const pace = { graceMs: 20, answerMs: 5 };

it("a run has an audience as long as somebody reads or waits, and for a process that stops", async () => {
  const hub = new FeedHub();
  const audience = new Audience(hub, NO_SIGNALS, pace);
  expect(await audience.outlasts("unknown")).toBe(false);
  const feed = hub.open("r");
  expect(await audience.outlasts("r")).toBe(false);
  feed.readers = 1;
  expect(await audience.outlasts("r")).toBe(true);
  feed.readers = 0;
  const later = audience.outlasts("r");
  feed.waiting = 1;
  expect(await later).toBe(true);
  feed.waiting = 0;
  const stopping = audience.outlasts("r");
  hub.suspendAll();
  expect(await stopping).toBe(true);
});
