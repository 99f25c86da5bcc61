import { Annotation, type LangGraphRunnableConfig, START, StateGraph } from "@langchain/langgraph";

const State = Annotation.Root({ ms: Annotation<number>(), done: Annotation<boolean>() });

/** Input: { ms }. Tells the judge that it begins, then keeps the event loop busy for so long. */
export const graph = new StateGraph(State)
  .addNode("block", async (state, config: LangGraphRunnableConfig) => {
    const { run_id: run, thread_id: thread } = config.configurable as { run_id: string; thread_id: string };
    const body = JSON.stringify({ run, thread, step: 1, pid: process.pid, ms: 0 });
    await (await fetch(`${process.env.JUDGE_URL}/step`, { method: "POST", body })).text();
    for (const end = performance.now() + state.ms; performance.now() < end; );
    return { done: true };
  })
  .addEdge(START, "block")
  .compile();
