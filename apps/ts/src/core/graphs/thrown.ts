import type { GraphLike } from "./registry.ts";

type Invoke = (this: unknown, ...args: unknown[]) => Promise<unknown>;
/** A class of whichever copy of langgraph made the graph. */
type Prototype = Record<string, unknown>;

const prepared = new WeakSet<object>();

/**
 * Lets nodes throw anything. langgraph writes a mark on what a node throws; on a text, a number, null or a frozen error that
 * fails, and the run ended with the words of that failure. Its classes are changed once for each copy of langgraph, because
 * a graph that a node invokes by itself is never seen here. What can bear a mark is thrown as it is.
 */
export function allowAnyThrow(graph: GraphLike): void {
  for (const name in graph.nodes) {
    const node = graph.nodes[name] as Prototype & { writers?: unknown[] };
    prepare(Object.getPrototypeOf(node), nodesOf);
    // Tasks of the functional API are no nodes, but like the channel writers of nodes they are RunnableCallables.
    const writer = node.writers?.[0];
    if (isObject(writer)) prepare(Object.getPrototypeOf(Object.getPrototypeOf(writer)), callablesOf);
    return;
  }
}

function prepare(prototype: Prototype | null, change: (prototype: Prototype) => void): void {
  if (prototype === null || prepared.has(prototype)) return;
  prepared.add(prototype);
  change(prototype);
}

/** PregelNode: what it gives to be run may be any Runnable. */
function nodesOf(prototype: Prototype): void {
  const { getNode } = prototype;
  if (typeof getNode !== "function") return;
  prototype.getNode = function (this: unknown) {
    const runnable: unknown = getNode.call(this);
    if (!isObject(runnable)) return runnable;
    const invoke = markable(runnable.invoke as Invoke);
    return Object.create(runnable, { invoke: { value: (...args: unknown[]) => invoke.apply(runnable, args) } });
  };
}

function callablesOf(prototype: Prototype): void {
  if (Object.hasOwn(prototype, "_tracedInvoke")) prototype.invoke = markable(prototype.invoke as Invoke);
}

function markable(invoke: Invoke): Invoke {
  return async function (this: unknown, ...args) {
    try {
      return await invoke.apply(this, args);
    } catch (error) {
      throw asMarkable(error);
    }
  };
}

function asMarkable(thrown: unknown): unknown {
  if (thrown === null || thrown === undefined) return new Error(`The graph threw ${thrown}`);
  if (typeof thrown !== "object" && typeof thrown !== "function") return new Error(String(thrown));
  if (Object.isExtensible(thrown)) return thrown;
  // The same class, with the same fields.
  return Object.create(thrown, Object.getOwnPropertyDescriptors(thrown));
}

function isObject(value: unknown): value is Prototype {
  return typeof value === "object" && value !== null;
}
