import type { Logger } from "@fractal-agents/infra/logger";
import type { GraphLike, GraphToolkit } from "#core/graphs/registry";
import type { JsonObject } from "#schemas/common";
import type { Command } from "#schemas/run-requests";
import { nullResume } from "./resume.ts";

/** Names of nodes that an error lists. */
const MOST_NAMED = 30;
/** Where langgraph ends; it is no node of the graph. */
const END = "__end__";

/** langgraph takes a `goto` to a node that is not there for none, and the run would be a success that did nothing. */
class UnknownNodeError extends Error {
  override readonly name = "UnknownNodeError";
}

/** A command that says nothing, such as `{}` or `{"goto": null}`, is none. A `resume` of null says something. */
export function commandOf(command: Command | null | undefined): Command | undefined {
  if (command == null) return undefined;
  const { update, goto } = command;
  const isEmpty = update == null && [goto ?? []].flat().length === 0 && command.resume === undefined;
  return isEmpty ? undefined : command;
}

/**
 * The input of a run that begins. A command wins over an input beside it, as on LangGraph Platform. It is made by the
 * graph's own copy of langgraph.
 */
export async function inputOf(
  asked: { command?: Command | null | undefined; input: unknown },
  target: { graphId: string; graph: GraphLike; toolkit: GraphToolkit; configurable: JsonObject; logger: Logger },
): Promise<unknown> {
  const { command } = asked;
  const { toolkit, graph, graphId, configurable, logger } = target;
  if (command == null) return asked.input;
  if (asked.input != null) {
    logger.warn(
      { run_id: configurable.run_id, thread_id: configurable.thread_id },
      "input dropped: the run has a command",
    );
  }
  const resume = command.resume === null ? await nullResume(target) : command.resume;
  const targets = command.goto == null ? undefined : [command.goto].flat();
  for (const goto of targets ?? []) requireNode(typeof goto === "string" ? goto : goto.node, graph, graphId);
  return new toolkit.Command({
    ...(command.update != null && { update: command.update }),
    ...(resume !== undefined && { resume }),
    ...(targets !== undefined && { goto: targets.map((goto) => sent(goto, toolkit)) }),
  });
}

function requireNode(node: string, graph: GraphLike, graphId: string): void {
  if (node === END || Object.hasOwn(graph.nodes, node)) return;
  const all = Object.keys(graph.nodes).filter((name) => !name.startsWith("__"));
  const nodes = all.length > MOST_NAMED ? [...all.slice(0, MOST_NAMED), "..."] : all;
  throw new UnknownNodeError(
    `command.goto: graph "${graphId}" has no node ${JSON.stringify(node)}; its nodes are ${nodes.join(", ")}`,
  );
}

function sent(target: string | { node: string; input?: unknown }, toolkit: GraphToolkit): unknown {
  return typeof target === "string" ? target : new toolkit.Send(target.node, target.input);
}
