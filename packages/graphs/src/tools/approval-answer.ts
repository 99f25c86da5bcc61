/** A person's decision, as the tool passes it on. */
export interface ApprovalAnswer {
  approved: boolean;
  feedback?: string;
}

/**
 * Reads what a run was resumed with. Only an explicit yes counts: `{approved: true}` or `true`. A text is a refusal
 * with that text as its reason, anything else a refusal without one.
 */
export function readResume(resume: unknown): ApprovalAnswer {
  if (resume === true) return { approved: true };
  if (typeof resume === "string") return refusal(resume);
  if (typeof resume !== "object" || resume === null) return { approved: false };
  const { approved, feedback } = resume as { approved?: unknown; feedback?: unknown };
  const text = typeof feedback === "string" && feedback.trim() !== "" ? feedback : undefined;
  if (approved !== true) return refusal(text);
  return text === undefined ? { approved: true } : { approved: true, feedback: text };
}

/** Reads the tool's own output back. Text that is not its JSON is a refusal: nothing unclear counts as a yes. */
export function parseApproval(text: string): ApprovalAnswer {
  try {
    return readResume(JSON.parse(text));
  } catch {
    return { approved: false };
  }
}

function refusal(feedback: string | undefined): ApprovalAnswer {
  return feedback === undefined || feedback.trim() === "" ? { approved: false } : { approved: false, feedback };
}
