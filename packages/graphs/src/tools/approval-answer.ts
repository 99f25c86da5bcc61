/** A person's decision, as the tool passes it on. `action` and `details` are set where the person changed them. */
export interface ApprovalAnswer {
  approved: boolean;
  feedback?: string;
  action?: string;
  details?: string;
}

const YES = /^(y|yes|yes please|ok|okay|approve|approved|i approve|go ahead|yes go ahead)$/;
const NO = /^(n|no|no thanks|reject|rejected|i reject|deny|denied|cancel|stop|do not|dont)$/;

/** What a text that a person typed decides: only a bare yes or no, in a few words, does. Anything longer decides nothing. */
export function readText(text: string): boolean | undefined {
  const words = text
    .toLowerCase()
    .replace(/['’]/g, "")
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();
  if (YES.test(words)) return true;
  return NO.test(words) ? false : undefined;
}

/**
 * Reads what a run was resumed with. Only an explicit yes to one question counts; anything unclear is a refusal.
 *
 * - LangChain's answer: `{decisions: [{type: approve|edit|reject|respond, ...}]}`
 * - The inbox's answer: `[{type: accept|edit|ignore|response, args}]`; it also sends its `args` inside `decisions`.
 * - `{approved: boolean, feedback?}`, `true`, `false`
 * - A text: a bare yes or no (see readText), else a refusal with that text as its reason.
 */
export function readResume(resume: unknown): ApprovalAnswer {
  if (typeof resume === "boolean") return { approved: resume };
  if (typeof resume === "string") return readWords(resume);
  if (Array.isArray(resume)) return readDecision(resume.length === 1 ? resume[0] : undefined);
  if (!isObject(resume)) return { approved: false };
  if (Array.isArray(resume.decisions)) return readResume(resume.decisions);
  if (typeof resume.type === "string") return readDecision(resume);
  const text = textOf(resume.feedback);
  if (resume.approved !== true) return refusal(text);
  return { approved: true, ...(text && { feedback: text }), ...changes(resume) };
}

/** Reads the tool's own output back. Text that is not its JSON is a refusal: nothing unclear counts as a yes. */
export function parseApproval(text: string): ApprovalAnswer {
  try {
    return readResume(JSON.parse(text));
  } catch {
    return { approved: false };
  }
}

function readDecision(decision: unknown): ApprovalAnswer {
  if (!isObject(decision)) return { approved: false };
  const text = textOf(decision.message) ?? textOf(decision.args);
  switch (decision.type) {
    case "approve":
    case "accept":
      return { approved: true };
    case "edit":
      return readEdit(decision);
    case "respond":
    case "response":
      return readWords(text ?? "");
    default:
      return refusal(text);
  }
}

/** A changed action is a yes to what it says now; a change without an action is not clear enough to be one. */
function readEdit(decision: Record<string, unknown>): ApprovalAnswer {
  const edited = decision.edited_action ?? decision.editedAction ?? decision.args;
  const changed = isObject(edited) && isObject(edited.args) ? changes(edited.args) : {};
  return changed.action === undefined ? { approved: false } : { approved: true, ...changed };
}

function changes({ action, details }: Record<string, unknown>): { action?: string; details?: string } {
  const [what, more] = [textOf(action), textOf(details)];
  return { ...(what && { action: what }), ...(more && { details: more }) };
}

function readWords(text: string): ApprovalAnswer {
  const decided = readText(text);
  return decided === undefined ? refusal(text) : { approved: decided };
}

function refusal(feedback: string | undefined): ApprovalAnswer {
  return textOf(feedback) === undefined ? { approved: false } : { approved: false, feedback: feedback as string };
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value.trim() !== "" ? value : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
