import { tool } from "@langchain/core/tools";
import { interrupt } from "@langchain/langgraph";
import { z } from "zod";
import { readResume } from "./approval-answer.ts";

const ApprovalInput = z.object({
  action: z.string().describe("What you want to do, in one sentence that the person can decide on"),
  details: z.string().optional().describe("Anything else the person should see before deciding"),
});

/** What the interrupt shows; `allowed` are the values to resume with. */
export interface ApprovalRequest {
  type: "approval_request";
  action: string;
  details?: string;
  message: string;
  allowed: ReadonlyArray<{ approved: boolean; feedback?: string }>;
}

/**
 * Stops the run until a person decides. The thread becomes `interrupted` with an ApprovalRequest as the interrupt's value;
 * resume it with `command: {resume: {approved: true}}` or `{approved: false, feedback?: "why"}`.
 * The tool's output is that decision as JSON. Needs a checkpointer, which the server gives every run.
 */
export const requestApproval = tool(
  ({ action, details }: z.infer<typeof ApprovalInput>) => {
    const request: ApprovalRequest = {
      type: "approval_request",
      action,
      ...(details === undefined ? {} : { details }),
      message: `Approval needed: ${action}`,
      allowed: [{ approved: true }, { approved: false, feedback: "why not" }],
    };
    return JSON.stringify(readResume(interrupt<ApprovalRequest, unknown>(request)));
  },
  {
    name: "request_approval",
    description:
      "Asks a person to approve an action before you take it, and waits for the decision. " +
      "Returns JSON: approved (true or false) and, where given, feedback. Do not take the action unless approved is true.",
    schema: ApprovalInput,
  },
);
