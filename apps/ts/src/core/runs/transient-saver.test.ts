import { expect, it } from "bun:test";
import { emptyCheckpoint } from "@langchain/langgraph-checkpoint";
import { TransientSaver } from "./transient-saver.ts";

it("keeps the packets for the next step that copies of langgraph before 0.4 put into the checkpoint", async () => {
  const saver = new TransientSaver();
  const pending_sends = [{ node: "work", args: 1 }];
  const checkpoint = { ...emptyCheckpoint(), pending_sends };
  const config = await saver.put({ configurable: {} }, checkpoint, { source: "loop", step: 0, parents: {} });
  pending_sends.push({ node: "late", args: 2 });
  expect((await saver.getTuple(config))?.checkpoint).toMatchObject({ pending_sends: [{ node: "work", args: 1 }] });
});
