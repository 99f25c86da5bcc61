/** Used when neither the assistant nor the run gives a prompt. */
export const DEFAULT_SYSTEM_PROMPT =
  "You are a helpful assistant. Use the tools you were given where they help, and answer directly where they do not. " +
  "Never claim, offer or imitate a tool that is not in your list: if none fits, say so.";

/** Added to every prompt and not editable: what to do when a tool needs the person to sign in. */
export const SYSTEM_PROMPT_SUFFIX =
  "If a tool fails because the person is not signed in or has not granted access, do not retry it: give them the sign-in " +
  "page that the tool named as a Markdown link, and ask them to sign in and then try again.";

/** @param chosen The configured prompt; empty or absent means the default. */
export function systemPrompt(chosen: string | undefined): string {
  return `${chosen?.trim() ? chosen : DEFAULT_SYSTEM_PROMPT}\n\n${SYSTEM_PROMPT_SUFFIX}`;
}
