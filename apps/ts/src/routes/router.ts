import type { z } from "@hono/zod-openapi";
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context, Handler, TypedResponse } from "hono";
import { Hono } from "hono";
import type { StatusCode } from "hono/utils/http-status";
import type { JSONParsed } from "hono/utils/types";
import { RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import { ErrorBody } from "#schemas/common";
import type { AuthAction } from "./auth-actions.ts";
import { AUTH_ACTIONS } from "./auth-actions.ts";
import { describeIssues } from "./issues.ts";
import { readJson } from "./request-body.ts";
import { storedPaths } from "./stored-paths.ts";

/** What the middleware has put on every request before a handler sees it. */
export interface Env {
  /** Of a call in this process: who it acts for. */
  Bindings: { scope?: AuthScope | undefined };
  Variables: {
    scope: AuthScope;
    requestId: string;
    /** Bytes a request body may have. */
    bodyLimit: number;
    /** Bytes a list may have. */
    answerLimit: number;
  };
}

type Schema = z.core.$ZodType;
type JsonContent<S extends Schema = Schema> = { content: { "application/json": { schema: S } } };

/** A route as data: one object gives validation, the handler's types and the OpenAPI entry. */
export interface RouteSpec {
  /** What the caller does, for the auth handlers. */
  auth: AuthAction;
  method: "get" | "post" | "put" | "patch" | "delete";
  /** Parameters in braces: "/threads/{thread_id}". */
  path: `/${string}`;
  tags: string[];
  summary: string;
  description?: string;
  request?: { params?: Schema; query?: Schema; headers?: Schema; body?: JsonContent & { required?: false } };
  responses: Record<number, { description: string; content?: Record<string, { schema: Schema }>; headers?: object }>;
}

export function route<const R extends RouteSpec>(spec: R): R {
  return spec;
}

/** `...json(Schema)` beside a description: a JSON body or answer. */
export function json<S extends Schema>(schema: S): JsonContent<S> {
  return { content: { "application/json": { schema } } };
}

type Failure = { description: string } & JsonContent<typeof ErrorBody>;

const FAILURES: Record<number, string> = {
  400: "The request makes no sense",
  403: "Not allowed",
  404: "Not found, or not visible to the caller",
  409: "In conflict with what is there",
  413: "The body is too large",
  422: "A value is missing or wrong",
  501: "Not supported by this server",
  503: "Not ready; try again",
};

/** `...failures(404, 409)` in a route's responses: the error answers it may give. */
export function failures<const S extends number>(...statuses: S[]): Record<S, Failure> {
  const entries = statuses.map((status) => [status, { description: FAILURES[status] ?? "Error", ...json(ErrorBody) }]);
  return Object.fromEntries(entries) as Record<S, Failure>;
}

/** What `c.req.valid(...)` gives in the handler of a route. */
type Validated<R> = (R extends { request: { params: infer S } } ? { param: z.output<S> } : unknown) &
  (R extends { request: { query: infer S } } ? { query: z.output<S> } : unknown) &
  (R extends { request: { headers: infer S } } ? { header: z.output<S> } : unknown) &
  (R extends { request: { body: JsonContent<infer S> } } ? { json: z.output<S> } : unknown);

/** What the handler of a route may return: JSON of the declared shape and status, or a Response of its own. */
type Answer<R extends RouteSpec> = {
  [S in keyof R["responses"] & StatusCode]: R["responses"][S] extends JsonContent<infer T>
    ? TypedResponse<JSONParsed<z.output<T>>, S, "json">
    : Response;
}[keyof R["responses"] & StatusCode];

type RouteHandler<R extends RouteSpec> = Handler<
  Env,
  string,
  { in: object; out: Validated<R> & object },
  Answer<R> | Promise<Answer<R>>
>;

/**
 * Hono whose routes are declared as data. The validation is our own: upstream's refuses bodies by content type (the
 * API promises to parse any), clones the request to look at it, and runs one middleware per target; here one
 * function does it all. Problems are 422 `{"detail": "<path>: <what is wrong>"}`.
 */
export class Router extends Hono<Env> {
  readonly #routes: { spec: RouteSpec; handler: Handler<Env> }[] = [];

  /** Every declared route, in the order of registration. */
  get specs(): RouteSpec[] {
    return this.#routes.map(({ spec }) => spec);
  }

  /** Registers a route. Throws at start when the route does not say who may call it. */
  openapi<R extends RouteSpec>(spec: R, handler: RouteHandler<R>): this {
    return this.#add(spec, handler as unknown as Handler<Env>);
  }

  /** Takes over the declared routes of another router, those of them that `wanted` lets through. */
  include(other: Router, wanted: (spec: RouteSpec) => boolean = () => true): this {
    for (const { spec, handler } of other.#routes) if (wanted(spec)) this.#add(spec, handler);
    return this;
  }

  #add(spec: RouteSpec, handler: Handler<Env>): this {
    const method = spec.method.toUpperCase();
    if (!AUTH_ACTIONS.includes(spec.auth)) throw new Error(`Route ${method} ${spec.path} declares no auth action`);
    this.#routes.push({ spec, handler });
    this.on([method], [spec.path.replaceAll(/\/{(.+?)}/g, "/:$1")], validated(spec, handler));
    return this;
  }

  /** The OpenAPI 3.1 document of every declared route. */
  document(head: { info: { title: string; version: string; [key: string]: unknown }; [key: string]: unknown }): object {
    const generator = new OpenAPIHono();
    for (const { auth, ...definition } of this.specs.map(withRequiredBody)) {
      const operationId = `${definition.method}${definition.path}`.replace(/\W+/g, "_").replace(/_$/, "");
      generator.openAPIRegistry.registerPath({ ...definition, operationId, "x-auth-action": auth } as never);
    }
    return generator.getOpenAPI31Document({ openapi: "3.1.0", ...head });
  }
}

/** A body is required unless its route says otherwise. */
function withRequiredBody(spec: RouteSpec): RouteSpec {
  const body = spec.request?.body;
  if (body === undefined) return spec;
  return { ...spec, request: { ...spec.request, body: { required: true, ...body } as never } };
}

/** A router whose routes are declared with `route()`. */
export function router(): Router {
  return new Router();
}

function validated(spec: RouteSpec, handler: Handler<Env>): Handler<Env> {
  const { params, query, headers, body } = spec.request ?? {};
  const bodySchema = body?.content["application/json"].schema;
  const stored = bodySchema === undefined ? [] : storedPaths(bodySchema);
  const optional = body?.required === false;
  return async (c, next) => {
    if (c.req.url.includes("%")) checkAddress(c.req.url);
    if (params !== undefined) c.req.addValidatedData("param", checked(params, c.req.param(), "path"));
    if (query !== undefined) c.req.addValidatedData("query", checked(query, queryRecord(c), "query"));
    if (headers !== undefined) c.req.addValidatedData("header", checked(headers, c.req.header(), "header"));
    if (bodySchema !== undefined) {
      c.req.addValidatedData(
        "json",
        checked(bodySchema, await readJson(c.req.raw, { limit: c.var.bodyLimit, optional, stored }), "body"),
      );
    }
    return handler(c, next);
  };
}

/** An escape that is no UTF-8 would reach handlers as something else; a "%" that escapes nothing is itself. */
function checkAddress(url: string): void {
  if (url.includes("%00")) throw new RuntimeError("invalid", "The address contains a NUL character");
  for (const { 0: escapes, index } of url.matchAll(/(?:%[0-9a-f]{2})+/gi)) {
    try {
      decodeURIComponent(escapes);
    } catch (cause) {
      const place = index - url.indexOf("/", url.indexOf("//") + 2);
      throw new RuntimeError("invalid", `The address has escapes at position ${place} that are not valid UTF-8`, {
        cause,
      });
    }
  }
}

/** @param whole What to call the value itself in a message, where there is no path into it. */
function checked(schema: Schema, value: unknown, whole: string): object {
  const result = (schema as z.ZodType).safeParse(value);
  if (!result.success) throw new RuntimeError("invalid", describeIssues(result.error, whole));
  return result.data as object;
}

/** A key given once is a string, a repeated key an array. */
function queryRecord(c: Context<Env>): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = {};
  for (const [key, values] of Object.entries(c.req.queries())) {
    const [first = "", ...more] = values;
    record[key] = more.length === 0 ? first : values;
  }
  return record;
}
