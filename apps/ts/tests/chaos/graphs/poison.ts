import { Annotation, START, StateGraph } from "@langchain/langgraph";

const State = Annotation.Root({ prepared: Annotation<boolean>() });

/** Kills the process it runs in, in its second superstep. */
export const graph = new StateGraph(State)
  .addNode("prepare", async () => ({ prepared: true }))
  .addNode("kill", async () => {
    process.kill(process.pid, "SIGKILL");
    await new Promise(() => undefined);
    return {};
  })
  .addEdge(START, "prepare")
  .addEdge("prepare", "kill")
  .compile();
