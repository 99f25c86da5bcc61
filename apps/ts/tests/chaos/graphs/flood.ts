import { Annotation, START, StateGraph } from "@langchain/langgraph";

const State = Annotation.Root({ n: Annotation<number>(), bytes: Annotation<number>(), done: Annotation<boolean>() });

/** Input: { n, bytes }. Writes n custom events of so many bytes, in turns of the event loop. */
export const graph = new StateGraph(State)
  .addNode("work", async (state, config) => {
    const text = "x".repeat(state.bytes);
    for (let i = 0; i < state.n; i++) {
      config.writer?.({ i, text });
      if (i % 16 === 15) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return { done: true };
  })
  .addEdge(START, "work")
  .compile();
