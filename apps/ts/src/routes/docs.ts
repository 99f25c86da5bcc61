import { z } from "@hono/zod-openapi";
import { byId, element, failureText, serverUrl } from "./page/client/dom.ts";
import {
  fetchJson,
  findOperations,
  openLinked,
  operationId,
  renderAnswers,
  renderDetail,
  renderOperation,
  renderParameters,
  renderTry,
  startReference,
} from "./page/client/reference.ts";
import { renderFields, resolveSchema, sampleOf, typeName } from "./page/client/schema.ts";
import { buildHtml } from "./page/html.ts";
import { REFERENCE_STYLE } from "./page/reference-style.ts";
import { LOGO } from "./page/theme.ts";
import type { Router } from "./router.ts";
import { route, router } from "./router.ts";

const docs = route({
  auth: "public",
  method: "get",
  path: "/docs",
  tags: ["System"],
  summary: "API reference for people",
  responses: { 200: { description: "A page", content: { "text/html": { schema: z.string() } } } },
});

const MARKUP = `<header>
<a class="brand" href="./">${LOGO}<span>Fractal Agents Runtime</span></a>
<input id="find" type="search" placeholder="Find an operation" aria-label="Find an operation">
</header>
<div class="layout">
<nav id="tags" aria-label="Sections"></nav>
<main id="api">Loading …</main>
</div>
<noscript>This page needs JavaScript. The document behind it is /openapi.json.</noscript>`;

/** `/docs`: the OpenAPI document made readable, from our own files only. */
export function docsRoutes(): Router {
  const page = buildHtml({
    title: "API reference, Fractal Agents Runtime",
    description: "Every operation of this server, to read and to try.",
    style: REFERENCE_STYLE,
    markup: MARKUP,
    functions: [
      element,
      byId,
      serverUrl,
      fetchJson,
      failureText,
      resolveSchema,
      typeName,
      renderFields,
      sampleOf,
      renderTry,
      renderParameters,
      renderAnswers,
      renderDetail,
      operationId,
      openLinked,
      findOperations,
      renderOperation,
      startReference,
    ],
    start: startReference,
  });
  const r = router();
  r.openapi(docs, (c) => c.body(page.body, 200, page.headers) as never);
  return r;
}
