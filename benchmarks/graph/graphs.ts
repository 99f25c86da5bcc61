/**
 * The graphs that all servers of the benchmark run, from this one file: `one` (a node, no model), `tokens` (a model that streams
 * 100 tokens), `tool` (model, tool, model), `steps` (one run that leaves 100 checkpoints) and `pause` (a node that takes a second).
 */
import { AIMessage } from "@langchain/core/messages";
import { tool as defineTool } from "@langchain/core/tools";
import { Annotation, END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ToolNode } from "@langchain/langgraph/prebuilt";
import { ONE_TEXT, PAUSE_MS, STEPS, STEPS_PER_MESSAGE, stepText, TOKENS, TOOL_CALL, TOOL_TEXT } from "./script.ts";
import { ScriptedModel } from "./scripted-model.ts";

type Messages = typeof MessagesAnnotation.State;

export const one = new StateGraph(MessagesAnnotation)
  .addNode("answer", () => ({ messages: [new AIMessage(ONE_TEXT)] }))
  .addEdge(START, "answer")
  .addEdge("answer", END)
  .compile();

const talker = new ScriptedModel({ pieces: TOKENS });

export const tokens = new StateGraph(MessagesAnnotation)
  .addNode("model", async (state: Messages) => ({ messages: [await talker.invoke(state.messages)] }))
  .addEdge(START, "model")
  .addEdge("model", END)
  .compile();

const caller = new ScriptedModel({ pieces: [TOOL_TEXT], toolCall: TOOL_CALL });

const add = defineTool((input) => String(Number((input as { a: number }).a) + Number((input as { b: number }).b)), {
  name: TOOL_CALL.name,
  description: "Adds two numbers.",
  schema: {
    type: "object",
    properties: { a: { type: "number" }, b: { type: "number" } },
    required: ["a", "b"],
  },
});

export const tool = new StateGraph(MessagesAnnotation)
  .addNode("model", async (state: Messages) => ({ messages: [await caller.invoke(state.messages)] }))
  .addNode("tools", new ToolNode([add]))
  .addEdge(START, "model")
  .addConditionalEdges(
    "model",
    (state: Messages) => ((state.messages.at(-1) as AIMessage).tool_calls?.length ? "tools" : END),
    ["tools", END],
  )
  .addEdge("tools", "model")
  .compile();

const StepState = Annotation.Root({
  ...MessagesAnnotation.spec,
  step: Annotation<number>({ reducer: (_, next) => next, default: () => 0 }),
});

export const steps = new StateGraph(StepState)
  .addNode("walk", (state) => {
    const step = state.step + 1;
    return step % STEPS_PER_MESSAGE === 0 ? { step, messages: [new AIMessage(stepText(step))] } : { step };
  })
  .addEdge(START, "walk")
  .addConditionalEdges("walk", (state) => (state.step < STEPS ? "walk" : END), ["walk", END])
  .compile();

export const pause = new StateGraph(MessagesAnnotation)
  .addNode("answer", async () => {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    return { messages: [new AIMessage(ONE_TEXT)] };
  })
  .addEdge(START, "answer")
  .addEdge("answer", END)
  .compile();
