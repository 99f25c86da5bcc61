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
    const two = [{ type: "approve" }, { type: "approve" }];
    for (const unclear of [
      ...[{ approved: "true" }, { approved: 1 }, {}, null, undefined, false, 1, [true], []],
      ...[two, { decisions: two }, { decisions: [] }, { decisions: "approve" }, { decisions: [{ type: "sure" }] }],
      ...[[{ type: "edit", args: null }], { decisions: [{ type: "edit", edited_action: { name: "x", args: {} } }] }],
    ]) {
      expect(readResume(unclear)).toEqual({ approved: false });
    }
  });

  it("keeps feedback, and takes a bare text as the reason of a refusal", () => {
    expect(readResume({ approved: false, feedback: "too early" })).toEqual({ approved: false, feedback: "too early" });
    expect(readResume("too early")).toEqual({ approved: false, feedback: "too early" });
    expect(readResume({ approved: true, feedback: "go" })).toEqual({ approved: true, feedback: "go" });
    expect(readResume({ approved: false, feedback: "  " })).toEqual({ approved: false });
  });

  const edited = { name: "request_approval", args: { action: "Send it to Ada", details: "only Ada" } };
  const change = { approved: true, action: "Send it to Ada", details: "only Ada" };
  it.each([
    [{ type: "approve" }, { approved: true }],
    [{ type: "edit", edited_action: edited }, change],
    [{ type: "edit", editedAction: edited }, change],
    [
      { type: "reject", message: "too early" },
      { approved: false, feedback: "too early" },
    ],
    [{ type: "reject" }, { approved: false }],
    [
      { type: "respond", message: "on Monday" },
      { approved: false, feedback: "on Monday" },
    ],
    // The inbox's own answers, translated only in their type.
    [{ type: "approve", args: { action: "request_approval", args: edited.args } }, { approved: true }],
    [{ type: "edit", args: { action: "request_approval", args: edited.args } }, change],
    [
      { type: "reject", args: "too early" },
      { approved: false, feedback: "too early" },
    ],
    [{ type: "ignore", args: null }, { approved: false }],
  ])("takes LangChain's decision %j", (decision, answer) => {
    expect(readResume({ decisions: [decision] })).toEqual(answer);
  });

  it.each([
    [{ type: "accept", args: null }, { approved: true }],
    [{ type: "accept", args: { action: "request_approval", args: { action: "Send it" } } }, { approved: true }],
    [{ type: "edit", args: { action: "request_approval", args: edited.args } }, change],
    [
      { type: "response", args: "on Monday" },
      { approved: false, feedback: "on Monday" },
    ],
    [{ type: "ignore", args: null }, { approved: false }],
  ])("takes the inbox's answer %j", (response, answer) => {
    expect(readResume([response])).toEqual(answer);
    expect(readResume(response)).toEqual(answer);
  });

  it("takes a text that is a bare yes or no for one, and nothing longer", () => {
    for (const yes of ["yes", "Yes!", " OK. ", "go ahead", "Approved"]) {
      expect(readResume(yes)).toEqual({ approved: true });
      expect(readResume([{ type: "response", args: yes }])).toEqual({ approved: true });
    }
    for (const no of ["no", "No.", "reject", "don't"]) expect(readResume(no)).toEqual({ approved: false });
    for (const words of ["yes, but only tomorrow", "ok?? no wait", "approve nothing"]) {
      expect(readResume(words)).toEqual({ approved: false, feedback: words });
    }
    expect(readResume({ decisions: [{ type: "reject", message: "yes" }] }).approved).toBe(false);
  });

  it("reads the tool's own output back, and anything else as a refusal", () => {
    expect(parseApproval('{"approved":true}')).toEqual({ approved: true });
    expect(parseApproval("approved")).toEqual({ approved: false });
  });
});
