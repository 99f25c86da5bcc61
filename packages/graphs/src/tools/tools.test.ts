import { describe, expect, it } from "bun:test";
import { rejection } from "../../tests/support.ts";
import { parseApproval, readResume } from "./approval-answer.ts";
import { createClock } from "./clock.ts";

describe("get_current_time", () => {
  const clock = createClock(() => Date.UTC(2026, 10, 24, 23, 5, 9));

  it("tells the time of a zone with its weekday and offset", async () => {
    expect(await clock.invoke({})).toBe("Tuesday, 2026-11-24 23:05:09 (UTC, GMT+00:00)");
    expect(await clock.invoke({ timezone: "Asia/Tokyo" })).toBe(
      "Wednesday, 2026-11-25 08:05:09 (Asia/Tokyo, GMT+09:00)",
    );
  });

  it("names a time zone that does not exist", async () => {
    const error = await rejection(clock.invoke({ timezone: "Mars/Olympus" }));
    expect(error.message).toContain('Unknown time zone "Mars/Olympus"');
  });
});

describe("the answer to an approval", () => {
  it("is a yes only when it says so explicitly", () => {
    expect(readResume({ approved: true })).toEqual({ approved: true });
    expect(readResume(true)).toEqual({ approved: true });
    for (const unclear of [{ approved: "true" }, { approved: 1 }, {}, null, undefined, false, 1, [true]]) {
      expect(readResume(unclear).approved).toBe(false);
    }
  });

  it("keeps feedback, and takes a bare text as the reason of a refusal", () => {
    expect(readResume({ approved: false, feedback: "too early" })).toEqual({ approved: false, feedback: "too early" });
    expect(readResume("too early")).toEqual({ approved: false, feedback: "too early" });
    expect(readResume({ approved: true, feedback: "go" })).toEqual({ approved: true, feedback: "go" });
    expect(readResume({ approved: false, feedback: "  " })).toEqual({ approved: false });
  });

  it("reads the tool's own output back, and anything else as a refusal", () => {
    expect(parseApproval('{"approved":true}')).toEqual({ approved: true });
    expect(parseApproval("approved")).toEqual({ approved: false });
  });
});
