import { assistantOfScope, isolatedScope, splitStored } from "#core/checkpoints/namespace";
import type { CheckpointRepository, CheckpointWriter } from "#core/checkpoints/repository";
import { RuntimeError } from "#core/errors";
import type { GraphRegistry } from "#core/graphs/registry";
import type { AuthScope } from "#core/identity/scope";
import type { Assistant } from "#schemas/assistants";
import type { Thread } from "#schemas/threads";
import type { ThreadRepository } from "./repository.ts";
import type { CheckpointRef } from "./state-snapshot.ts";

/** Which lineage of a thread is meant, and the graph that reads it. */
export interface Place {
  graphId: string;
  checkpointScope: string;
  /** Whose configuration the graph is built with; undefined when it is gone. */
  assistant: Assistant | undefined;
}

export interface PlaceDeps {
  threads: Pick<ThreadRepository, "lastScope">;
  checkpoints: Pick<CheckpointRepository, "locate" | "writer">;
  graphs: GraphRegistry;
  assistants: { resolve(scope: AuthScope, assistantOrGraphId: string): Promise<Assistant> };
}

/** Finds the scope of a read or state write. */
export class StatePlaces {
  readonly #deps: PlaceDeps;

  constructor(deps: PlaceDeps) {
    this.#deps = deps;
  }

  /**
   * The assistant named in the request, else the scope of the thread's last run, else what the thread's metadata says.
   * Undefined when nothing tells which graph the thread belongs to. RuntimeError not_found for an unknown assistant.
   */
  async find(scope: AuthScope, thread: Thread, assistantId: string | undefined): Promise<Place | undefined> {
    if (assistantId !== undefined) return this.#ofAssistant(await this.#deps.assistants.resolve(scope, assistantId));
    const last = await this.#deps.threads.lastScope(scope, thread.thread_id);
    if (last !== undefined) return this.#ofScope(scope, thread, last);
    return this.#ofMetadata(scope, thread);
  }

  /**
   * The place of one checkpoint, looked for in all scopes of the thread; `namespace` is langgraph's. RuntimeError
   * not_found when the thread has no such checkpoint.
   */
  async locate(
    scope: AuthScope,
    thread: Thread,
    wanted: { checkpoint: CheckpointRef; checkpointId: string; assistantId: string | undefined },
  ): Promise<{ place: Place | undefined; namespace: string }> {
    const { checkpoint, checkpointId, assistantId } = wanted;
    const stored = await this.#deps.checkpoints.locate(scope, thread.thread_id, checkpointId);
    const found = stored === undefined ? undefined : splitStored(stored);
    if (found === undefined || (checkpoint.checkpoint_ns || found.namespace) !== found.namespace) {
      throw new RuntimeError("not_found", `Checkpoint ${checkpointId} not found on thread ${thread.thread_id}`);
    }
    const named = assistantId === undefined ? undefined : await this.find(scope, thread, assistantId);
    // In the shared lineage, the assistant only says which graph reads it.
    const place = named?.checkpointScope === found.scope ? named : await this.#ofScope(scope, thread, found.scope);
    return { place, namespace: found.namespace };
  }

  #ofAssistant(assistant: Assistant): Place {
    const isolation = this.#deps.graphs.find(assistant.graph_id)?.isolation;
    const checkpointScope = isolation === "assistant" ? isolatedScope(assistant.assistant_id) : "";
    return { graphId: assistant.graph_id, checkpointScope, assistant };
  }

  async #ofScope(scope: AuthScope, thread: Thread, checkpointScope: string): Promise<Place | undefined> {
    const isolated = assistantOfScope(checkpointScope);
    const metadata = {
      graph_id: stringOf(thread.metadata.graph_id),
      assistant_id: stringOf(thread.metadata.assistant_id),
    };
    const { graph_id: own, assistant_id } =
      isolated === undefined ? await this.#shared(scope, thread, metadata) : metadata;
    const owner = isolated ?? assistant_id;
    const assistant = owner === undefined ? undefined : await this.#resolve(scope, owner);
    // The shared lineage belongs to its graph, whatever the assistant has become since.
    const graphId = isolated === undefined ? (own ?? assistant?.graph_id) : (assistant?.graph_id ?? own);
    if (graphId === undefined) return undefined;
    return { graphId, checkpointScope, assistant: assistant?.graph_id === graphId ? assistant : undefined };
  }

  /**
   * Whose the shared lineage is: of the graph that wrote it last. The thread's metadata name the latest run's, which may
   * have written nothing (it waits, it was rolled back) or have a lineage of its own.
   */
  async #shared(scope: AuthScope, thread: Thread, metadata: CheckpointWriter): Promise<CheckpointWriter> {
    const writer = await this.#deps.checkpoints.writer(scope, { thread_id: thread.thread_id, checkpoint_ns: "" });
    const isServed = writer?.graph_id !== undefined && this.#deps.graphs.find(writer.graph_id) !== undefined;
    return isServed ? writer : metadata;
  }

  async #ofMetadata(scope: AuthScope, thread: Thread): Promise<Place | undefined> {
    const owner = stringOf(thread.metadata.assistant_id);
    const assistant = owner === undefined ? undefined : await this.#resolve(scope, owner);
    const graphId = stringOf(thread.metadata.graph_id);
    if (assistant !== undefined && (graphId === undefined || assistant.graph_id === graphId))
      return this.#ofAssistant(assistant);
    if (graphId === undefined) return undefined;
    const system = this.#deps.graphs.find(graphId) === undefined ? undefined : await this.#resolve(scope, graphId);
    return system === undefined ? { graphId, checkpointScope: "", assistant: undefined } : this.#ofAssistant(system);
  }

  /** Undefined where the assistant is gone: its threads stay readable. */
  async #resolve(scope: AuthScope, assistantOrGraphId: string): Promise<Assistant | undefined> {
    try {
      return await this.#deps.assistants.resolve(scope, assistantOrGraphId);
    } catch (error) {
      if (error instanceof RuntimeError && error.code === "not_found") return undefined;
      throw error;
    }
  }
}

function stringOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
