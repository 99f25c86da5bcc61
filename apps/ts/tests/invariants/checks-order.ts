import type { Fence } from "#core/runs/fence";
import { ALICE, checkpoint, outcome, put } from "../contract/harness.ts";
import { type Check, held, takenOver } from "./checks-fence.ts";

/** I19: what was written last under the lane is the head, though its writer's clock, and so its id, is behind. */
export const headIsWrittenLast: Check = async (bed) => {
  const { fence } = await held(bed);
  const { threadId } = fence;
  const write = async (by: "a" | "b", holder: Fence, name: string) => {
    const [answer] = await bed[by].checkpoints.commit([put(holder, checkpoint(holder, name))]);
    if (answer !== "written") throw new Error(`${name} was answered ${answer}`);
  };
  const head = async () =>
    (await bed.a.checkpoints.get(ALICE, { thread_id: threadId, checkpoint_ns: "" }))?.row.checkpoint_id;
  await write("a", fence, "c5");
  const next = await takenOver(bed, fence);
  for (const name of ["c2", "c3", "c1"]) {
    await write("b", next, name);
    if ((await head()) !== name) return `I19: ${name} was written last, and the head is ${await head()}`;
  }
  const before = await bed.a.checkpoints.list(ALICE, { thread_id: threadId, checkpoint_ns: "", before: "c3" });
  const named = before.map(({ row }) => row.checkpoint_id).join(" ");
  if (named !== "c2 c5") return `I19: before c3 was written: ${named}`;
  await bed.b.runs.finish(next, outcome());
  await bed.a.threads.prune(ALICE, [threadId], "keep_latest");
  if ((await head()) !== "c1") return `I19: c1 was written last, and prune keeps ${await head()}`;
  return undefined;
};
