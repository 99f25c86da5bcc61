import type { Logger } from "@fractal-agents/infra/logger";
import type { AssistantService } from "#core/assistants/service";
import type { GraphRegistry } from "#core/graphs/registry";
import type { StoreRepository } from "#core/store/repository";
import type { StoreTtl } from "#core/store/ttl";
import type { ThreadService } from "#core/threads/service";
import { answerDeadline } from "#middleware/answer-deadline";
import { answerLimit } from "#middleware/answer-limit";
import { bodyLimit } from "#middleware/body-limit";
import type { CorsOptions } from "#middleware/cors";
import { cors } from "#middleware/cors";
import { type HostOptions, hostCheck } from "#middleware/hosts";
import { type CountedRequest, countRequests } from "#middleware/metrics";
import { notFound } from "#middleware/not-found";
import { requestId } from "#middleware/request-id";
import { logRequests } from "#middleware/request-log";
import { scope } from "#middleware/scope";
import { assistantGraphRoutes } from "#routes/assistant-graphs";
import { assistantRoutes } from "#routes/assistants";
import { docsRoutes } from "#routes/docs";
import { onError } from "#routes/http";
import type { Facts } from "#routes/info";
import { type MetricsSource, metricsRoutes } from "#routes/metrics";
import { serveOpenApi } from "#routes/openapi";
import { pageRoutes } from "#routes/page";
import type { RouteSpec } from "#routes/router";
import { Router } from "#routes/router";
import { storeRoutes } from "#routes/store";
import { type Readiness, systemRoutes } from "#routes/system";
import { threadRoutes } from "#routes/threads";

export interface Services {
  assistants: AssistantService;
  threads: ThreadService;
  store: StoreRepository;
  graphs: GraphRegistry;
  storage: { description: string; ping(): Promise<void> };
  facts: Facts;
  /** Without it the server is ready whenever its storage answers. */
  readiness?: Readiness | undefined;
  /** Routers of the engine: runRoutes(...), streamRoutes(...), stateRoutes(...). */
  edges?: readonly Router[] | undefined;
  /** Without it nothing is counted, and there is no /metrics. */
  metrics?: (MetricsSource & { answered(request: CountedRequest): void }) | undefined;
}

export interface AppOptions {
  logger: Logger;
  /** Says of every request how it was answered, at debug. */
  logsRequests?: boolean | undefined;
  cors?: CorsOptions | undefined;
  /** What the server may be called by; without it every name is taken. */
  hosts?: HostOptions | undefined;
  /** Bytes a request body may have; 100 MB by default. The HTTP server's own limit must not be lower. */
  bodyLimit?: number | undefined;
  /** Bytes a list may have that is answered; 100 MB by default. */
  answerLimit?: number | undefined;
  /** How long a request may go without an answer, ms; those that stream or wait for a run have longer. */
  answerMs?: number | undefined;
  /** How long items of the store live; without it as long as their puts say. */
  storeTtl?: StoreTtl | undefined;
  /** Parts of the API that are switched off (`http.disable_*`): their routes answer 404. */
  disabled?: ReadonlySet<string> | undefined;
}

/** Below the minute after which a silent connection is cut (platform/serve.ts). */
const ANSWER_MS = 55_000;
export const DEFAULT_BODY_LIMIT = 100 * 1024 * 1024;
const DEFAULT_ANSWER_LIMIT = 100 * 1024 * 1024;

/** The HTTP API over the services: a fetch handler that opens nothing and owns nothing. */
export function createApp(services: Services, options: AppOptions): Router {
  const app = new Router({ strict: false });
  app.onError(onError(options.logger));
  app.notFound(notFound(app, options.disabled));
  const { metrics } = services;
  if (metrics !== undefined) app.use("*", countRequests(metrics.answered));
  app.use("*", requestId());
  if (options.logsRequests === true) app.use("*", logRequests(options.logger));
  if (options.hosts !== undefined) app.use("*", hostCheck(options.hosts));
  app.use("*", cors(options.cors));
  app.use("*", answerDeadline(options.answerMs ?? ANSWER_MS));
  app.use("*", bodyLimit(options.bodyLimit ?? DEFAULT_BODY_LIMIT));
  app.use("*", answerLimit(options.answerLimit ?? DEFAULT_ANSWER_LIMIT));
  app.use("*", scope());
  const wanted = (spec: RouteSpec) => options.disabled?.has(partOf(spec.path)) !== true;
  for (const edge of routers(services, options)) app.include(edge, wanted);
  if (options.disabled?.has("meta") !== true) serveOpenApi(app, services.facts.version);
  return app;
}

/** The part of the API that a path belongs to, as `http.disable_*` names it. /ok and /health belong to none. */
function partOf(path: string): string {
  if (/^\/(runs|threads\/\{thread_id\}\/(runs|stream|commands))\b/.test(path)) return "runs";
  const [first = ""] = path.slice(1).split("/");
  if (["", "docs", "info", "metrics", "openapi.json"].includes(first)) return "meta";
  return first;
}

function routers(services: Services, options: AppOptions): Router[] {
  return [
    systemRoutes({ ...services, disabled: options.disabled }),
    ...(services.metrics === undefined ? [] : [metricsRoutes(services.metrics)]),
    pageRoutes(services.facts),
    docsRoutes(),
    assistantRoutes(services.assistants),
    assistantGraphRoutes(services.assistants),
    threadRoutes(services.threads),
    ...(services.edges ?? []),
    storeRoutes(services.store, { rules: options.storeTtl, logger: options.logger }),
  ];
}
