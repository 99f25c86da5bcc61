import { z } from "@hono/zod-openapi";
import { RuntimeError } from "#core/errors";
import { Id } from "#schemas/common";
import { queryFlag, queryList, queryNamespaces } from "#schemas/query";
import { RunBatchCreate, RunCreateStateless, RunsCancel } from "#schemas/run-requests";
import { Run } from "#schemas/runs";
import { failures, json, type Router, route, router } from "./router.ts";
import { idempotencyKey, lastEventId, RunCalls, type RunRouteDeps, toRun } from "./run-calls.ts";

const tags = ["Stateless runs"];
const eventStream = { content: { "text/event-stream": { schema: z.string() } } };

const create = route({
  auth: "threads:create_run",
  method: "post",
  path: "/runs",
  tags,
  summary: "Create a run without a thread, in the background",
  request: { body: json(RunCreateStateless) },
  responses: { 200: { description: "The accepted run", ...json(Run) }, ...failures(400, 404, 422, 501, 503) },
});

const stream = route({
  auth: "threads:create_run",
  method: "post",
  path: "/runs/stream",
  tags,
  summary: "Create a run without a thread and stream its events",
  request: { query: z.object({ namespace: queryNamespaces() }), body: json(RunCreateStateless) },
  responses: { 200: { description: "Server-sent events", ...eventStream }, ...failures(400, 404, 422, 501, 503) },
});

const wait = route({
  auth: "threads:create_run",
  method: "post",
  path: "/runs/wait",
  tags,
  summary: "Create a run without a thread and wait for its values",
  request: { body: json(RunCreateStateless) },
  responses: {
    200: { description: "Final values, or __error__", ...json(z.unknown()) },
    ...failures(400, 404, 422, 501, 503),
  },
});

const batch = route({
  auth: "threads:create_run",
  method: "post",
  path: "/runs/batch",
  tags,
  summary: "Create several runs without a thread",
  request: { body: json(RunBatchCreate) },
  responses: {
    200: { description: "The runs, in order", ...json(z.array(Run)) },
    ...failures(400, 404, 422, 501, 503),
  },
});

const cancelMany = route({
  auth: "threads:update",
  method: "post",
  path: "/runs/cancel",
  tags,
  summary: "Cancel several runs",
  description: "Either `status`, or `thread_id` with `run_ids`.",
  request: { query: z.object({ action: z.enum(["interrupt", "rollback"]).optional() }), body: json(RunsCancel) },
  responses: { 204: { description: "Told to stop" }, ...failures(404, 422) },
});

const joinStream = route({
  auth: "threads:read",
  method: "get",
  path: "/runs/{run_id}/stream",
  tags,
  summary: "Join the stream of a run by its id",
  request: {
    params: z.object({ run_id: Id }),
    query: z.object({
      stream_mode: queryList(z.string()),
      namespace: queryNamespaces(),
      cancel_on_disconnect: queryFlag(),
    }),
  },
  responses: { 200: { description: "Server-sent events", ...eventStream }, ...failures(404, 422) },
});

export function statelessRunRoutes(deps: RunRouteDeps): Router {
  const { runs } = deps;
  const calls = new RunCalls(deps);
  const r = router();
  r.openapi(create, async (c) => c.json(await calls.background(c, c.req.valid("json")), 200));
  r.openapi(stream, (c) => {
    const { namespace: namespaces } = c.req.valid("query");
    return calls.stream(c, c.req.valid("json"), { namespaces }) as never;
  });
  r.openapi(wait, (c) => calls.wait(c, c.req.valid("json")) as never);
  r.openapi(batch, async (c) => {
    const call = { requestId: c.var.requestId, idempotencyKey: idempotencyKey(c) };
    const created = await runs.createBatch(c.var.scope, c.req.valid("json"), call);
    return c.json(created.map(toRun), 200);
  });
  r.openapi(cancelMany, async (c) => {
    await runs.cancelMany(c.var.scope, selection(c.req.valid("json")), c.req.valid("query").action ?? "interrupt");
    return c.body(null, 204);
  });
  r.openapi(joinStream, async (c) => {
    const run = await runs.get(c.var.scope, c.req.valid("param").run_id);
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
  return r;
}

function selection(body: z.infer<typeof RunsCancel>) {
  const { status, thread_id, run_ids } = body;
  if (status !== undefined && thread_id === undefined && run_ids === undefined) return { status };
  if (status === undefined && thread_id !== undefined && run_ids !== undefined) return { thread_id, run_ids };
  throw new RuntimeError("invalid", "body: give either status, or thread_id and run_ids");
}
