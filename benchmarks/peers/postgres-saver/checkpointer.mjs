// Upstream's PostgresSaver as its README sets it up: fromConnString (a pool of ten connections) and setup().
// DATABASE_URL: where it keeps its tables.
import { PostgresSaver } from "@langchain/langgraph-checkpoint-postgres";

export async function openCheckpointer() {
  const saver = PostgresSaver.fromConnString(process.env.DATABASE_URL);
  await saver.setup();
  return saver;
}
