import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { HistoryQuery as HistoryOf, StateService } from "#core/threads/state";
import {
  HistoryQuery,
  HistoryRequest,
  StateAtParams,
  StateAtRequest,
  StateParams,
  StateReadQuery,
  StateScopeQuery,
  StateUpdate,
  StateUpdated,
} from "#schemas/state";
import { ThreadState } from "#schemas/threads";
import { listResponse } from "./json-pieces.ts";
import type { Env, Router } from "./router.ts";
import { failures, json, route, router } from "./router.ts";
import type { RunRouteDeps } from "./run-calls.ts";

const tags = ["Threads"];

const get = route({
  auth: "threads:read",
  method: "get",
  path: "/threads/{thread_id}/state",
  tags,
  summary: "Get the state of a thread",
  request: { params: StateParams, query: StateReadQuery },
  responses: { 200: { description: "The newest state", ...json(ThreadState) }, ...failures(404, 422, 503) },
});

const getAt = route({
  auth: "threads:read",
  method: "get",
  path: "/threads/{thread_id}/state/{checkpoint_id}",
  tags,
  summary: "Get the state at a checkpoint",
  request: { params: StateAtParams, query: StateReadQuery },
  responses: { 200: { description: "The state there", ...json(ThreadState) }, ...failures(404, 422, 503) },
});

const postAt = route({
  auth: "threads:read",
  method: "post",
  path: "/threads/{thread_id}/state/checkpoint",
  tags,
  summary: "Get the state at a checkpoint, also of a subgraph",
  request: { params: StateParams, query: StateScopeQuery, body: json(StateAtRequest) },
  responses: { 200: { description: "The state there", ...json(ThreadState) }, ...failures(400, 404, 422, 503) },
});

const update = route({
  auth: "threads:update",
  method: "post",
  path: "/threads/{thread_id}/state",
  tags,
  summary: "Write the state of a thread",
  request: { params: StateParams, query: StateScopeQuery, body: json(StateUpdate) },
  responses: {
    200: { description: "The checkpoint made", ...json(StateUpdated) },
    ...failures(400, 404, 409, 422, 503),
  },
});

const history = route({
  auth: "threads:read",
  method: "get",
  path: "/threads/{thread_id}/history",
  tags,
  summary: "List past states",
  request: { params: StateParams, query: HistoryQuery },
  responses: { 200: { description: "Newest first", ...json(z.array(ThreadState)) }, ...failures(404, 422, 503) },
});

const search = route({
  auth: "threads:read",
  method: "post",
  path: "/threads/{thread_id}/history",
  tags,
  summary: "Search past states",
  request: { params: StateParams, query: StateScopeQuery, body: json(HistoryRequest) },
  responses: { 200: { description: "Newest first", ...json(z.array(ThreadState)) }, ...failures(400, 404, 422, 503) },
});

const DEFAULT_LIMIT = 10;

/** States are in wire form already. */
function answer(c: Context<Env>, state: ThreadState) {
  return c.body(JSON.stringify(state), 200, { "Content-Type": "application/json" });
}

export function stateRoutes(state: StateService, deps: Pick<RunRouteDeps, "logger" | "unread">): Router {
  const r = router();
  const list = (c: Context<Env>, threadId: string, query: HistoryOf) => {
    const call = {
      request: c.req.raw,
      headers: {},
      controller: new AbortController(),
      onError: (error: unknown) => deps.logger.error({ thread_id: threadId, err: error }, "history answer broken off"),
      unread: deps.unread,
    };
    const pieces = state.history(c.var.scope, threadId, { ...query, max_bytes: c.var.answerLimit });
    return listResponse(pieces, call) as never;
  };
  // Before the path with a checkpoint id, which would take the word for one.
  r.openapi(postAt, async (c) => {
    const { checkpoint, subgraphs } = c.req.valid("json");
    const query = { checkpoint, subgraphs, assistant_id: c.req.valid("query").assistant_id };
    return answer(c, await state.get(c.var.scope, c.req.valid("param").thread_id, query)) as never;
  });
  r.openapi(get, async (c) => {
    return answer(c, await state.get(c.var.scope, c.req.valid("param").thread_id, c.req.valid("query"))) as never;
  });
  r.openapi(getAt, async (c) => {
    const { thread_id, checkpoint_id } = c.req.valid("param");
    const query = { ...c.req.valid("query"), checkpoint: { checkpoint_id } };
    return answer(c, await state.get(c.var.scope, thread_id, query)) as never;
  });
  r.openapi(update, async (c) => {
    const write = { ...c.req.valid("json"), assistant_id: c.req.valid("query").assistant_id };
    return c.json(await state.update(c.var.scope, c.req.valid("param").thread_id, write), 200);
  });
  r.openapi(history, async (c) => {
    const { limit = DEFAULT_LIMIT, before, assistant_id } = c.req.valid("query");
    const query = { limit, before, assistant_id };
    return list(c, c.req.valid("param").thread_id, query);
  });
  r.openapi(search, async (c) => {
    const query = { ...c.req.valid("json"), assistant_id: c.req.valid("query").assistant_id };
    return list(c, c.req.valid("param").thread_id, query);
  });
  return r;
}
