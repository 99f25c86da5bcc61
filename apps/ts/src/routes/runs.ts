import { z } from "@hono/zod-openapi";
import { Id } from "#schemas/common";
import { LIMITS } from "#schemas/limits";
import { queryFlag, queryInt, queryList, queryNamespaces } from "#schemas/query";
import { RunCreateStateful } from "#schemas/run-requests";
import { Run, RunStatus } from "#schemas/runs";
import { paginate, project } from "./http.ts";
import { failures, json, type Router, route, router } from "./router.ts";
import { lastEventId, locations, RunCalls, type RunRouteDeps, toRun } from "./run-calls.ts";

const tags = ["Thread runs"];
const ofThread = z.object({ thread_id: Id });
const ofRun = z.object({ thread_id: Id, run_id: Id });
const eventStream = { content: { "text/event-stream": { schema: z.string() } } };
const anyJson = json(z.unknown());
const runKeys = Run.keyof();
/** Namespaces to hear of, "" for the root; without it all that the run tells. */
const heard = z.object({ namespace: queryNamespaces() });

const create = route({
  auth: "threads:create_run",
  method: "post",
  path: "/threads/{thread_id}/runs",
  tags,
  summary: "Create a run in the background",
  request: { params: ofThread, body: json(RunCreateStateful) },
  responses: { 200: { description: "The accepted run", ...json(Run) }, ...failures(400, 404, 409, 422, 501, 503) },
});

const stream = route({
  auth: "threads:create_run",
  method: "post",
  path: "/threads/{thread_id}/runs/stream",
  tags,
  summary: "Create a run and stream its events",
  description: "Location names where to reconnect with Last-Event-ID.",
  request: { params: ofThread, query: heard, body: json(RunCreateStateful) },
  responses: { 200: { description: "Server-sent events", ...eventStream }, ...failures(400, 404, 409, 422, 501, 503) },
});

const wait = route({
  auth: "threads:create_run",
  method: "post",
  path: "/threads/{thread_id}/runs/wait",
  tags,
  summary: "Create a run and wait for its values",
  request: { params: ofThread, body: json(RunCreateStateful) },
  responses: {
    200: { description: "Final values, or __error__", ...anyJson },
    ...failures(400, 404, 409, 422, 501, 503),
  },
});

const list = route({
  auth: "threads:search",
  method: "get",
  path: "/threads/{thread_id}/runs",
  tags,
  summary: "List the runs of a thread, newest first",
  request: {
    params: ofThread,
    query: z.object({
      limit: queryInt(1, LIMITS.rows),
      offset: queryInt(0, LIMITS.offset),
      status: RunStatus.optional(),
      select: queryList(runKeys),
    }),
  },
  responses: { 200: { description: "A page", ...json(z.array(Run.partial())) }, ...failures(404, 422) },
});

const get = route({
  auth: "threads:read",
  method: "get",
  path: "/threads/{thread_id}/runs/{run_id}",
  tags,
  summary: "Get a run",
  request: { params: ofRun },
  responses: { 200: { description: "The run", ...json(Run) }, ...failures(404, 422) },
});

const remove = route({
  auth: "threads:delete",
  method: "delete",
  path: "/threads/{thread_id}/runs/{run_id}",
  tags,
  summary: "Delete a run that is over, with its checkpoints",
  request: { params: ofRun },
  responses: { 204: { description: "Gone" }, ...failures(404, 409, 422) },
});

const join = route({
  auth: "threads:read",
  method: "get",
  path: "/threads/{thread_id}/runs/{run_id}/join",
  tags,
  summary: "Wait for a run",
  request: { params: ofRun, query: z.object({ cancel_on_disconnect: queryFlag() }) },
  responses: { 200: { description: "Final values, or __error__", ...anyJson }, ...failures(404, 422) },
});

const joinStream = route({
  auth: "threads:read",
  method: "get",
  path: "/threads/{thread_id}/runs/{run_id}/stream",
  tags,
  summary: "Join the stream of a run",
  description: "Last-Event-ID goes on after that event; -1 from the beginning; without it only what comes from now on.",
  request: {
    params: ofRun,
    query: z.object({
      stream_mode: queryList(z.string()),
      namespace: queryNamespaces(),
      cancel_on_disconnect: queryFlag(),
    }),
  },
  responses: { 200: { description: "Server-sent events", ...eventStream }, ...failures(404, 422) },
});

const cancel = route({
  auth: "threads:update",
  method: "post",
  path: "/threads/{thread_id}/runs/{run_id}/cancel",
  tags,
  summary: "Cancel a run",
  request: {
    params: ofRun,
    query: z.object({
      wait: queryFlag(),
      action: z.enum(["interrupt", "rollback"]).optional(),
      reason: z.string().optional(),
    }),
  },
  responses: {
    200: { description: "It is over (wait)", ...anyJson },
    202: { description: "It was told to stop" },
    ...failures(404, 422),
  },
});

export function runRoutes(deps: RunRouteDeps): Router {
  const { runs } = deps;
  const calls = new RunCalls(deps);
  const r = router();
  r.openapi(create, async (c) =>
    c.json(await calls.background(c, c.req.valid("json"), c.req.valid("param").thread_id.toLowerCase()), 200),
  );
  r.openapi(stream, (c) => {
    const { namespace: namespaces } = c.req.valid("query");
    const threadId = c.req.valid("param").thread_id.toLowerCase();
    return calls.stream(c, c.req.valid("json"), { threadId, namespaces }) as never;
  });
  r.openapi(wait, (c) => calls.wait(c, c.req.valid("json"), c.req.valid("param").thread_id.toLowerCase()) as never);
  r.openapi(list, async (c) => {
    const { limit = 10, offset = 0, status, select } = c.req.valid("query");
    const query = { limit, offset, status, max_bytes: c.var.answerLimit };
    const page = await runs.list(c.var.scope, c.req.valid("param").thread_id, query);
    paginate(c, page, offset);
    return c.json(project(page.items.map(toRun), select), 200);
  });
  r.openapi(get, async (c) => {
    const { thread_id, run_id } = c.req.valid("param");
    return c.json(toRun(await runs.get(c.var.scope, run_id, thread_id)), 200);
  });
  r.openapi(remove, async (c) => {
    const { thread_id, run_id } = c.req.valid("param");
    await runs.remove(c.var.scope, thread_id, run_id);
    return c.body(null, 204);
  });
  r.openapi(join, async (c) => {
    const { thread_id, run_id } = c.req.valid("param");
    const run = await runs.get(c.var.scope, run_id, thread_id);
    const { cancel_on_disconnect: leave = false } = c.req.valid("query");
    return calls.waitOf(c, { run }, { cancelOnDisconnect: leave }) as never;
  });
  r.openapi(joinStream, async (c) => {
    const { thread_id, run_id } = c.req.valid("param");
    const run = await runs.get(c.var.scope, run_id, thread_id);
    const { stream_mode: modes, namespace: namespaces, cancel_on_disconnect: leave = false } = c.req.valid("query");
    return calls.streamOf(
      c,
      { run },
      {
        from: lastEventId(c) ?? "now",
        modes,
        namespaces,
        cancelOnDisconnect: leave,
      },
    ) as never;
  });
  r.openapi(cancel, async (c) => {
    const { thread_id, run_id } = c.req.valid("param");
    const { wait: waits = false, action = "interrupt" } = c.req.valid("query");
    const run = await runs.cancel(c.var.scope, { thread_id, run_id }, { action, wait: waits });
    if (!waits) return c.body(null, 202);
    const values = await runs.reader.storedValues(c.var.scope, run);
    for (const [name, value] of Object.entries(locations(run, "join"))) c.header(name, value);
    return c.json(JSON.parse(values), 200);
  });
  return r;
}
