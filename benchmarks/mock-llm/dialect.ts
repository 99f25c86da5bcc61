import type { OrderFault } from "./order.ts";
import type { CompletionRequest, Reply } from "./reply.ts";

export type JsonObject = Record<string, unknown>;

/** What every part of one answer repeats. `id` has no prefix of a provider; `created` is in seconds since 1970. */
export interface Envelope {
  id: string;
  created: number;
  model: string;
}

/** One provider's way to ask and to answer. A body that `read` accepts is an object with the lists that it names. */
export interface Dialect {
  /** The key of the conversation in a request's body. */
  list: "messages" | "contents";
  /** The request as the scripts read it. */
  read(body: JsonObject): CompletionRequest;
  /** What the provider would say of the order of the messages. */
  fault(body: JsonObject): OrderFault | undefined;
  whole(request: CompletionRequest, reply: Reply, envelope: Envelope): unknown;
  /** The answer as server-sent events, each with its end. */
  events(request: CompletionRequest, reply: Reply, envelope: Envelope): Iterable<string>;
  error(status: number, fault: OrderFault): unknown;
}
