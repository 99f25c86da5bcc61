import type { Page } from "#schemas/common";
import { pulled, type StreamCall } from "./sse.ts";

const JSON_TYPE = { "content-type": "application/json" };
const encoder = new TextEncoder();
const NEWLINE = encoder.encode("\n");

/**
 * A JSON list of texts that come in pieces. A list of one piece is an ordinary answer; a longer one is streamed, and the next
 * piece is made when the client has taken the one before. If one cannot be made, the connection is broken off: a list that
 * ended well would be taken for the whole.
 */
export async function listResponse(pieces: AsyncGenerator<Page<string>>, call: StreamCall): Promise<Response> {
  let step: IteratorResult<Page<string>> | undefined = await pieces.next();
  if (step.done || !step.value.more) {
    return new Response(`[${step.done ? "" : step.value.items.join(",")}]`, { headers: JSON_TYPE });
  }
  let before = "[";
  let more = true;
  const body = pulled(call, {
    openAfterMs: 0,
    beat: NEWLINE,
    next: async () => {
      if (!more) return undefined;
      const { done, value } = step ?? (await pieces.next());
      step = undefined;
      more = done !== true && value.more;
      const text = done ? "" : before + value.items.join(",");
      before = ",";
      return encoder.encode(more ? text : `${text}]`);
    },
    close: () => pieces.return(undefined),
  });
  return new Response(body, { headers: { ...JSON_TYPE, ...call.headers } });
}
