/** What a route does, in the words of the auth handlers of LangGraph; `public` needs no identity. */
export const AUTH_ACTIONS = [
  "public",
  "assistants:create",
  "assistants:read",
  "assistants:update",
  "assistants:delete",
  "assistants:search",
  "threads:create",
  "threads:read",
  "threads:update",
  "threads:delete",
  "threads:search",
  "threads:create_run",
  "crons:create",
  "crons:read",
  "crons:update",
  "crons:delete",
  "crons:search",
  "store:put",
  "store:get",
  "store:search",
  "store:delete",
  "store:list_namespaces",
] as const;

export type AuthAction = (typeof AUTH_ACTIONS)[number];
