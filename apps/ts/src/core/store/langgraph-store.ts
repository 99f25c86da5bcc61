import type { Logger } from "@fractal-agents/infra/logger";
import {
  BaseStore,
  type GetOperation,
  type Item,
  type ListNamespacesOperation,
  type Operation,
  type OperationResults,
  type PutOperation,
  type SearchItem,
  type SearchOperation,
} from "@langchain/langgraph-checkpoint";
import { toPlain } from "#core/exact-numbers";
import type { AuthScope } from "#core/identity/scope";
import type { Fence } from "#core/runs/fence";
import type { StoreItem, StoreRepository } from "./repository.ts";
import type { StoreTtl } from "./ttl.ts";
import { warnUnindexed } from "./unindexed.ts";

/**
 * LangGraph's store for one run: the memory of the person who asked for it, over the storage port. Operations of a batch
 * take effect in their order. Its operations name no time to live, so the project's
 * holds. The store has no index: a search with `query` lists without it, and a warning is logged.
 */
export class ScopedStore extends BaseStore {
  readonly #items: StoreRepository;
  readonly #scope: AuthScope;
  readonly #ttl: StoreTtl;
  /** Of the run: what it puts after it has lost its lane is refused. */
  readonly #fence: Fence | undefined;
  readonly #logger: Logger;

  constructor(deps: { items: StoreRepository; scope: AuthScope; ttl: StoreTtl; fence?: Fence; logger: Logger }) {
    super();
    this.#items = deps.items;
    this.#scope = deps.scope;
    this.#ttl = deps.ttl;
    this.#fence = deps.fence;
    this.#logger = deps.logger;
  }

  override async batch<Op extends Operation[]>(operations: Op): Promise<OperationResults<Op>> {
    const results: unknown[] = [];
    for (const operation of operations) results.push(await this.#run(operation));
    return results as OperationResults<Op>;
  }

  #run(operation: Operation): Promise<unknown> {
    if ("namespacePrefix" in operation) return this.#search(operation);
    if ("value" in operation) return this.#put(operation);
    if ("key" in operation) return this.#get(operation);
    return this.#namespaces(operation);
  }

  async #get(operation: GetOperation): Promise<Item | null> {
    const { namespace, key } = operation;
    const item = await this.#items.get(this.#scope, { namespace, key, refresh: this.#ttl.refreshOnRead });
    return item === undefined ? null : toItem(item);
  }

  async #put(operation: PutOperation): Promise<void> {
    const { namespace, key, value } = operation;
    if (value === null) await this.#items.remove(this.#scope, { namespace, key }, this.#fence);
    else await this.#items.put(this.#scope, { namespace, key, value, ttl: this.#ttl.minutes }, this.#fence);
  }

  async #search(operation: SearchOperation): Promise<SearchItem[]> {
    if (operation.query !== undefined && operation.query !== "") {
      warnUnindexed(this.#logger, { ...(this.#fence !== undefined && { run_id: this.#fence.runId }) });
    }
    const items = await this.#items.search(this.#scope, {
      namespace_prefix: operation.namespacePrefix,
      filter: operation.filter,
      refresh: this.#ttl.refreshOnRead,
      limit: operation.limit ?? 10,
      offset: operation.offset ?? 0,
    });
    return items.map(toItem);
  }

  async #namespaces(operation: ListNamespacesOperation): Promise<string[][]> {
    const pathOf = (type: "prefix" | "suffix") =>
      operation.matchConditions?.find((condition) => condition.matchType === type)?.path;
    return this.#items.namespaces(this.#scope, {
      prefix: pathOf("prefix"),
      suffix: pathOf("suffix"),
      max_depth: operation.maxDepth,
      limit: operation.limit ?? 100,
      offset: operation.offset ?? 0,
    });
  }
}

function toItem(item: StoreItem): Item {
  return {
    namespace: item.namespace,
    key: item.key,
    value: toPlain(item.value),
    createdAt: new Date(item.created_at),
    updatedAt: new Date(item.updated_at),
  };
}
