import type { Facts } from "./info.ts";
import { renderArgs, renderDecision, renderInterrupts } from "./page/client/ask.ts";
import { startChat } from "./page/client/chat.ts";
import { createCompose, isChat } from "./page/client/compose.ts";
import { attempt, followRun, isActive, pause, reach, reachJson } from "./page/client/connection.ts";
import { createConversation } from "./page/client/conversation.ts";
import { byId, complaintOf, copyText, element, failureText, newId, serverUrl } from "./page/client/dom.ts";
import { readEvents, splitField } from "./page/client/events.ts";
import { createField, createForm, createSelect, fieldType, readLoose, schemaOf } from "./page/client/fields.ts";
import { createLog } from "./page/client/log.ts";
import {
  blockAt,
  indentOf,
  listEnd,
  renderInline,
  renderLink,
  renderList,
  renderMarkdown,
  renderTable,
  safeAddress,
  splitRow,
} from "./page/client/markdown.ts";
import { messageText, renderMessage, renderToolCall, renderValues } from "./page/client/messages.ts";
import { asText, isFields, readApproval, readInbox, readQuestion, readReview } from "./page/client/questions.ts";
import { resolveSchema } from "./page/client/schema.ts";
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
      renderArgs,
      renderDecision,
      renderInterrupts,
      startChat,
      createCompose,
      isChat,
      attempt,
      followRun,
      isActive,
      pause,
      reach,
      reachJson,
      createConversation,
      byId,
      complaintOf,
      copyText,
      element,
      failureText,
      newId,
      serverUrl,
      readEvents,
      splitField,
      createField,
      createForm,
      createSelect,
      fieldType,
      readLoose,
      schemaOf,
      createLog,
      blockAt,
      indentOf,
      listEnd,
      renderInline,
      renderLink,
      renderList,
      renderMarkdown,
      renderTable,
      safeAddress,
      splitRow,
      messageText,
      renderMessage,
      renderToolCall,
      renderValues,
      asText,
      isFields,
      readApproval,
      readInbox,
      readQuestion,
      readReview,
      resolveSchema,
      showServer,
      showSnippets,
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
