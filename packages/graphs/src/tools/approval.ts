import { tool } from "@langchain/core/tools";
import { interrupt } from "@langchain/langgraph";
import { z } from "zod";
import { readResume } from "./approval-answer.ts";

export const APPROVAL_TOOL = "request_approval";

const ApprovalInput = z.object({
  action: z.string().describe("What you want to do, in one sentence that the person can decide on"),
  details: z.string().optional().describe("Anything else the person should see before deciding"),
});

type ApprovalInput = z.infer<typeof ApprovalInput>;

interface ActionRequest {
  name: string;
  args: ApprovalInput;
  description: string;
}

/**
 * What the interrupt shows: LangChain's human-in-the-loop request with one action. Interfaces written for Python read the
 * names with underscores, those written for JavaScript the others.
 */
export interface ApprovalRequest {
  action_requests: readonly ActionRequest[];
  review_configs: ReadonlyArray<{ action_name: string; allowed_decisions: readonly string[] }>;
  actionRequests: readonly ActionRequest[];
  reviewConfigs: ReadonlyArray<{ actionName: string; allowedDecisions: readonly string[] }>;
}

const DECISIONS = ["approve", "edit", "reject"] as const;

function createRequest(args: ApprovalInput): ApprovalRequest {
  const details = args.details === undefined ? "" : `\n\n${args.details}`;
  const requests = [{ name: APPROVAL_TOOL, args, description: `Approval needed: ${args.action}${details}` }];
  return {
    action_requests: requests,
    review_configs: [{ action_name: APPROVAL_TOOL, allowed_decisions: DECISIONS }],
    actionRequests: requests,
    reviewConfigs: [{ actionName: APPROVAL_TOOL, allowedDecisions: DECISIONS }],
  };
}

/**
 * Stops the run until a person decides. The thread becomes `interrupted` with an ApprovalRequest as the interrupt's value;
 * resume it with `command: {resume: {decisions: [{type: "approve"}]}}` or another of the answers that readResume knows.
 * The tool's output is that decision as JSON. Needs a checkpointer, which the server gives every run.
 */
export const requestApproval = tool(
  (input: ApprovalInput) => JSON.stringify(readResume(interrupt<ApprovalRequest, unknown>(createRequest(input)))),
  {
    name: APPROVAL_TOOL,
    description:
      "Asks a person to approve an action before you take it, and waits for the decision. " +
      "Returns JSON: approved (true or false), where given feedback, and action and details where the person changed " +
      "them. Do not take the action unless approved is true; if it was changed, take the changed one.",
    schema: ApprovalInput,
  },
);
