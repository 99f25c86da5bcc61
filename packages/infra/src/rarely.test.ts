import { expect, it } from "bun:test";
import { Rarely } from "./rarely.ts";

it("a text is said at once, then once in a while with the number of those that were not said, each text for itself", () => {
  let now = 0;
  const rarely = new Rarely(1_000, () => now);
  const due = (text: string) => rarely.due(text);
  expect([due("a"), due("a"), due("b"), due("a")]).toEqual([0, undefined, 0, undefined]);
  now = 1_000;
  expect([due("a"), due("a"), due("b")]).toEqual([2, undefined, 0]);
  // However many texts there are, they are not kept for ever.
  for (let i = 0; i < 1_000; i++) expect(due(`text ${i}`)).toBe(0);
});
