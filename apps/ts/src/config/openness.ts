import { isLoopbackName } from "#middleware/hosts";
import type { CorsConfig } from "./langgraph-json.ts";

/** Sentences for the banner: who else can use the server, by what was configured. */
export function openness(given: {
  host: string;
  allowedHosts: readonly string[];
  cors: CorsConfig | undefined;
}): string[] {
  const { host, allowedHosts, cors } = given;
  const warnings: string[] = [];
  if (!isLoopbackName(host)) {
    warnings.push(
      `HOST is ${host}: anyone who can reach this address can use the server; there is no authentication yet`,
    );
  }
  if (cors?.allow_origins?.includes("*") === true) {
    warnings.push(
      "CORS allows every origin (*): any web page, opened by anyone who can reach this server, can read and change everything on it",
    );
    if (cors.allow_credentials === true) {
      warnings.push("http.cors.allow_credentials has no effect together with the origin *: name the origins instead");
    }
  }
  if (allowedHosts.includes("*") && isLoopbackName(host)) {
    warnings.push(
      "FRACTAL_ALLOWED_HOSTS is *: a web page whose name points to this machine can read and change everything on the server",
    );
  }
  return warnings;
}
