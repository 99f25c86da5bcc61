import { Annotation, END, type LangGraphRunnableConfig, START, StateGraph } from "@langchain/langgraph";

/** Input: { steps, ms? }. Each superstep is a call of the judge that takes `ms`; state as that of the counter. */
const State = Annotation.Root({
  steps: Annotation<number>(),
  ms: Annotation<number | undefined>(),
  count: Annotation<number>({ reducer: (total, more) => total + more, default: () => 0 }),
  log: Annotation<string[]>({ reducer: (log, more) => [...log, ...more], default: () => [] }),
});

async function step(state: typeof State.State, config: LangGraphRunnableConfig) {
  const n = state.count + 1;
  const { run_id: run, thread_id: thread } = config.configurable as { run_id: string; thread_id: string };
  const response = await fetch(`${process.env.JUDGE_URL}/step`, {
    method: "POST",
    body: JSON.stringify({ run, thread, step: n, pid: process.pid, ms: state.ms ?? 0 }),
    signal: config.signal ?? null,
  });
  await response.text();
  return { count: 1, log: [`step-${n}`] };
}

export const graph = new StateGraph(State)
  .addNode("step", step)
  .addEdge(START, "step")
  .addConditionalEdges("step", (state) => (state.count < state.steps ? "step" : END), ["step", END])
  .compile();

/** Its author has dropped the signal: it goes on with its supersteps and wants to write every one of them. */
export const unhearing: typeof graph = Object.assign(Object.create(Object.getPrototypeOf(graph)), graph, {
  stream(input: never, { signal: _, ...options }: { signal?: AbortSignal }) {
    return Object.getPrototypeOf(graph).stream.call(this, input, options);
  },
});
