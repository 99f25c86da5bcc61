import { LeaseLostError, RuntimeError } from "#core/errors";
import type { GraphToolkit } from "#core/graphs/registry";
import type { JsonObject } from "#schemas/common";

/** What langgraph or a reducer says of the values is for the person who sent them. */
export function refused(error: unknown): unknown {
  if (error instanceof RuntimeError || error instanceof LeaseLostError) return error;
  const { message } = error as Error;
  return new RuntimeError("bad_request", `The update was refused: ${message}`, { cause: error });
}

/** Commands must be of the graph's own copy of langgraph. */
export function commandOf(command: JsonObject, toolkit: GraphToolkit): unknown {
  const targets = command.goto == null ? undefined : [command.goto].flat();
  const goto = targets?.map((target) => {
    if (typeof target === "string") return target;
    const { node, input } = target as { node: string; input?: unknown };
    return new toolkit.Send(node, input);
  });
  return new toolkit.Command({
    ...(command.update != null && { update: command.update }),
    ...(command.resume !== undefined && { resume: command.resume }),
    ...(goto !== undefined && { goto }),
  });
}
