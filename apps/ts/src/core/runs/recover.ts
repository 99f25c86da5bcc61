import type { CheckpointRepository } from "#core/checkpoints/repository";
import type { GraphLike } from "#core/graphs/registry";
import type { AuthScope } from "#core/identity/scope";
import type { RunKwargs } from "./create.ts";
import type { Fence } from "./fence.ts";
import type { RunRecord } from "./repository.ts";

/**
 * Where a later attempt begins.
 * "continue": from the newest checkpoint that the run itself wrote, with no input.
 * "restart": from its request, as if it had never run.
 * "finished": it already stands at an interrupt or breakpoint; the graph must not be called, for that would step past a
 * person's approval.
 */
export type Recovery = "continue" | "restart" | "finished";

export interface RecoveryContext {
  run: RunRecord;
  kwargs: RunKwargs;
  fence: Fence;
  checkpoints: CheckpointRepository;
  scope: AuthScope;
  /** "" or "assistant:<id>". */
  checkpointScope: string;
  graph: GraphLike;
}

export async function recover(context: RecoveryContext): Promise<Recovery> {
  const { run, checkpoints, scope, fence } = context;
  const place = { thread_id: run.thread_id, checkpoint_ns: context.checkpointScope, run_id: run.run_id };
  const own = await checkpoints.newestOfRun(scope, place);
  if (own !== undefined) {
    if (await checkpoints.interruptsOfRun(scope, { ...place, checkpoint_id: own })) return "finished";
    return (await standsAtBreakpoint(context)) ? "finished" : "continue";
  }
  const head = await checkpoints.get(scope, { thread_id: run.thread_id, checkpoint_ns: context.checkpointScope });
  if (head !== undefined) {
    const checkpoint_id = head.row.checkpoint_id;
    if (await checkpoints.interruptsOfRun(scope, { ...place, checkpoint_id })) return "finished";
    // Resume values that the dead attempt stored would be taken for answers to the next question.
    await checkpoints.takeBack(fence, context.checkpointScope);
  }
  return "restart";
}

/** Whether the run's newest checkpoint is one at which its breakpoints stop it. */
async function standsAtBreakpoint({ run, kwargs, graph }: RecoveryContext): Promise<boolean> {
  const compiled = graph as { interruptBefore?: "*" | string[]; interruptAfter?: "*" | string[] };
  const before = kwargs.interrupt_before ?? compiled.interruptBefore ?? [];
  const after = kwargs.interrupt_after ?? compiled.interruptAfter ?? [];
  if (before.length === 0 && after.length === 0) return false;
  const state = await graph.getState({ configurable: { thread_id: run.thread_id } });
  const next: string[] = state.next ?? [];
  if (next.length === 0) return false;
  if (hits(before, next)) return true;
  if (after.length === 0 || state.parentConfig === undefined) return false;
  // The nodes that made this checkpoint are those that its parent was about to run.
  const parent = await graph.getState(state.parentConfig);
  return hits(after, parent.next ?? []);
}

function hits(breakpoints: "*" | string[], nodes: string[]): boolean {
  return breakpoints === "*" ? nodes.length > 0 : nodes.some((node) => breakpoints.includes(node));
}
