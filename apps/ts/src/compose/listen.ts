import type { Logger } from "@fractal-agents/infra/logger";
import type { Config } from "#config";
import { type HttpServer, ListenError, serve, urlOf } from "#platform/serve";
import type { Front } from "./front.ts";
import type { Supervision } from "./supervision.ts";

const LOOPBACK = "127.0.0.1";

export interface ListenOptions {
  config: Pick<Config, "host" | "port" | "workers">;
  supervision: Supervision;
  /** In development the supervisor listens, and this process behind it. */
  front: Front | undefined;
  logger: Pick<Logger, "warn">;
  fetch(request: Request): Response | Promise<Response>;
}

/**
 * Listens where the configuration says. On a free port, the one of the process before is asked for first, so that a
 * restart keeps the address. One of several workers takes the port that the first of them has got, and no other.
 */
export async function listen({ config, supervision, front, logger, fetch }: ListenOptions): Promise<HttpServer> {
  const { host: hostname, port } = config;
  const { lastPort } = supervision;
  if (front !== undefined) {
    const http = await serve({ fetch, hostname: LOOPBACK, port: 0 });
    const published = await front.publish({ hostname, port }, http.port);
    return { ...http, port: published, url: urlOf(hostname, published) };
  }
  if (config.workers > 1) {
    return serve({ fetch, hostname, port: lastPort ?? port, share: lastPort === undefined ? "first" : "join" });
  }
  if (port === 0 && lastPort !== undefined) {
    try {
      return await serve({ fetch, hostname, port: lastPort });
    } catch (error) {
      if (!(error instanceof ListenError)) throw error;
      logger.warn({ port: lastPort }, "the port from before the restart is taken; using another");
    }
  }
  return serve({ fetch, hostname, port });
}
