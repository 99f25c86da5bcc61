import { AIMessage, type BaseMessage } from "@langchain/core/messages";
import { END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ChatOpenAI } from "@langchain/openai";

// With a key the real model answers; without one the graph still runs, so that you can try everything first.
const model = process.env.OPENAI_API_KEY
  ? new ChatOpenAI({ model: process.env.OPENAI_MODEL ?? "gpt-4o-mini" })
  : undefined;

async function answer(state: typeof MessagesAnnotation.State) {
  if (model) return { messages: [await model.invoke(state.messages)] };
  const asked = state.messages.filter((message: BaseMessage) => message.getType() === "human");
  const last = asked.at(-1)?.text ?? "";
  return {
    messages: [new AIMessage(`You said: ${last} (message ${asked.length} on this thread; no OPENAI_API_KEY is set)`)],
  };
}

export const graph = new StateGraph(MessagesAnnotation)
  .addNode("answer", answer)
  .addEdge(START, "answer")
  .addEdge("answer", END)
  .compile();
