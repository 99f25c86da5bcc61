import { schemaOf } from "./fields.ts";
import type { Schema } from "./schema.ts";

export interface Interrupt {
  id?: string;
  value: unknown;
  response_schema?: Schema | null;
}

/** A way to decide. `words` must be given, `text` may be; `edited` is what the form holds. */
export interface Choice {
  label: string;
  takes: "nothing" | "text" | "words" | "edited";
  primary?: boolean;
  value(given: unknown): unknown;
}

/** One thing that a person decides. */
export interface Decision {
  title: string;
  description?: string | undefined;
  /** Shown with the question. */
  args?: unknown;
  form?: { schema: Schema; value?: unknown; open: boolean };
  placeholder?: string;
  choices: Choice[];
}

/** An interrupt as decisions, and how these become the value to resume with. */
export interface Question {
  decisions: Decision[];
  resume(values: unknown[]): unknown;
}

type Fields = Record<string, unknown>;

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function asText(value: unknown): string | undefined {
  return typeof value === "string" && value.trim() !== "" ? value : undefined;
}

/** LangChain's human in the loop, with the names of Python or of JavaScript. */
export function readReview(request: Fields, actions: Fields[]): Question {
  const configs = (request.review_configs ?? request.reviewConfigs ?? []) as Fields[];
  const edited = request.action_requests === undefined ? "editedAction" : "edited_action";
  const decisions = actions.map((action, at): Decision => {
    const name = String(action.name ?? action.action ?? "action");
    const args = (action.args ?? action.arguments ?? {}) as Fields;
    const config = configs.find((one) => (one.action_name ?? one.actionName) === name) ?? configs[at] ?? {};
    const allowed = (config.allowed_decisions ?? config.allowedDecisions ?? ["approve", "edit", "reject"]) as string[];
    const withText = (type: string) => (words: unknown) => (words === "" ? { type } : { type, message: words });
    const known: Record<string, Choice> = {
      approve: { label: "Approve", takes: "nothing", primary: true, value: () => ({ type: "approve" }) },
      edit: { label: "Edit", takes: "edited", value: (given) => ({ type: "edit", [edited]: { name, args: given } }) },
      reject: { label: "Reject", takes: "text", value: withText("reject") },
      respond: { label: "Respond", takes: "words", value: withText("respond") },
    };
    return {
      title: name,
      description: asText(action.description),
      args,
      form: { schema: schemaOf(args), value: args, open: false },
      placeholder: allowed.includes("respond") ? "Response" : "Feedback (optional)",
      choices: ["approve", "edit", "reject", "respond"]
        .filter((type) => allowed.includes(type))
        .map((type) => known[type] as Choice),
    };
  });
  return { decisions, resume: (values) => ({ decisions: values }) };
}

/** One HumanInterrupt of the agent inbox. */
export function readInbox(request: Fields): Decision {
  const { action, args } = request.action_request as { action?: unknown; args?: unknown };
  const config = isFields(request.config) ? request.config : {};
  const values = isFields(args) ? args : {};
  const all: (Choice & { allowed: unknown })[] = [
    {
      allowed: config.allow_accept,
      label: "Accept",
      takes: "nothing",
      primary: true,
      value: () => ({ type: "accept", args: null }),
    },
    {
      allowed: config.allow_edit,
      label: "Edit",
      takes: "edited",
      value: (given) => ({ type: "edit", args: { action, args: given } }),
    },
    {
      allowed: config.allow_respond,
      label: "Respond",
      takes: "words",
      value: (words) => ({ type: "response", args: words }),
    },
    { allowed: config.allow_ignore, label: "Ignore", takes: "nothing", value: () => ({ type: "ignore", args: null }) },
  ];
  return {
    title: asText(action) ?? "Your decision is needed",
    description: asText(request.description),
    args: values,
    form: { schema: schemaOf(values), value: values, open: false },
    placeholder: "Response",
    choices: all.filter(({ allowed }) => allowed === true),
  };
}

/** `{approved, feedback?}`: what the shipped agent asked for before it spoke LangChain's shape. */
export function readApproval(request: Fields): Decision {
  const decide = (approved: boolean) => (feedback: unknown) =>
    feedback === "" ? { approved } : { approved, feedback };
  return {
    title: "Your approval is needed",
    description: asText(request.message) ?? asText(request.action),
    args: request.details,
    placeholder: "Feedback (optional)",
    choices: [
      { label: "Approve", takes: "text", primary: true, value: decide(true) },
      { label: "Reject", takes: "text", value: decide(false) },
    ],
  };
}

/** How a person answers an interrupt, by the shape of its value. */
export function readQuestion({ value, response_schema: schema }: Interrupt): Question {
  const one = (decision: Decision): Question => ({ decisions: [decision], resume: ([given]) => given });
  const listed: unknown[] = Array.isArray(value) ? value : [value];
  const fields = isFields(value) ? value : {};
  const actions = fields.action_requests ?? fields.actionRequests;
  if (Array.isArray(actions) && actions.length > 0 && actions.every(isFields)) return readReview(fields, actions);
  const inbox = listed.filter(isFields).filter((item) => isFields(item.action_request));
  if (inbox.length > 0 && inbox.length === listed.length) {
    return { decisions: inbox.map(readInbox), resume: (values) => values };
  }
  if (fields.type === "approval_request") return one(readApproval(fields));
  const text = asText(value);
  if (text !== undefined && !isFields(schema)) {
    const choice: Choice = { label: "Answer", takes: "words", primary: true, value: (words) => words };
    return one({ title: "The graph asks", description: text, placeholder: "Your answer", choices: [choice] });
  }
  const headline = [value, fields.question, fields.message, fields.description].map(asText).find((words) => words);
  return one({
    title: "The graph asks",
    description: headline,
    args: text === undefined ? value : undefined,
    form: { schema: isFields(schema) ? schema : {}, open: true },
    choices: [{ label: "Answer", takes: "edited", primary: true, value: (given) => given ?? null }],
  });
}
