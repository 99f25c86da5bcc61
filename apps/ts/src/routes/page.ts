import type { Facts } from "./info.ts";
import { renderInterrupt } from "./page/client/ask.ts";
import { startChat } from "./page/client/chat.ts";
import { byId, copyText, element, failureText, fetchJson, serverUrl } from "./page/client/dom.ts";
import { readEvents, splitField } from "./page/client/events.ts";
import { formatText, messageText, renderMessage, renderToolCall, renderValues } from "./page/client/messages.ts";
import { showServer, showSnippets } from "./page/client/server.ts";
import { buildHtml } from "./page/html.ts";
import { CHAT_MARKUP } from "./page/markup.ts";
import { CHAT_STYLE } from "./page/style.ts";
import type { Router } from "./router.ts";
import { router } from "./router.ts";
import { root, rootAnswer } from "./system.ts";

/** `/`: name and version for programs, a chat page for people. */
export function pageRoutes(facts: Facts): Router {
  const page = buildHtml({
    title: "Fractal Agents Runtime",
    description: "Chat with the agents that this server hosts.",
    style: CHAT_STYLE,
    markup: CHAT_MARKUP,
    functions: [
      element,
      byId,
      serverUrl,
      fetchJson,
      failureText,
      copyText,
      splitField,
      readEvents,
      messageText,
      formatText,
      renderToolCall,
      renderMessage,
      renderValues,
      renderInterrupt,
      showServer,
      showSnippets,
      startChat,
    ],
    start: startChat,
  });
  const r = router();
  r.openapi(root, (c) => {
    c.header("Vary", "Accept");
    if (c.req.header("accept")?.includes("text/html") === true) return c.body(page.body, 200, page.headers) as never;
    return c.json(rootAnswer(facts), 200);
  });
  return r;
}
