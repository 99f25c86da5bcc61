import { APPROVAL_TOOL as APPROVAL } from "../../tools/approval.ts";
import { parseApproval } from "../../tools/approval-answer.ts";
import { currentTurn, type ToolAnswer, type Turn } from "./conversation.ts";
import { findArithmetic, findTimeQuestion, wantsApproval } from "./intents.ts";
import type { Script, ScriptedReply } from "./scripted-model.ts";

const CLOCK = "get_current_time";
const CALCULATOR = "calculator";

const SIGNATURE = "(I am the built-in demonstration model: scripted, without an API key.)";

/**
 * The script of `fake:demo`. In one turn it asks for approval first when told to, then calls the clock and the calculator
 * as the text needs them (both in one message), and answers from what they returned. Each tool is called once
 * per turn, so it always ends.
 */
export const demoScript: Script = (messages, tools) => {
  const turn = currentTurn(messages);
  const approval = turn.answers.get(APPROVAL);
  if (!approval && tools.has(APPROVAL) && wantsApproval(turn.text)) {
    const args = { action: shorten(turn.text) };
    return { text: "I need your approval before I do this.", calls: [{ name: APPROVAL, args }] };
  }
  if (approval && !approval.failed && !parseApproval(approval.text).approved) return refused(turn, approval);
  const calls = pendingCalls(turn, tools);
  if (calls.length > 0) return { text: `Let me use ${calls.map((call) => call.name).join(" and ")}.`, calls };
  return turn.answers.size > 0 ? conclusion(turn) : introduction(turn, tools);
};

function pendingCalls(turn: Turn, tools: ReadonlySet<string>): { name: string; args: Record<string, unknown> }[] {
  const calls: { name: string; args: Record<string, unknown> }[] = [];
  const question = findTimeQuestion(turn.text);
  if (question && tools.has(CLOCK) && !turn.answers.has(CLOCK)) {
    calls.push({ name: CLOCK, args: question.timezone ? { timezone: question.timezone } : {} });
  }
  const expression = findArithmetic(turn.text);
  if (expression && tools.has(CALCULATOR) && !turn.answers.has(CALCULATOR)) {
    calls.push({ name: CALCULATOR, args: { expression } });
  }
  return calls;
}

function refused(turn: Turn, approval: ToolAnswer): ScriptedReply {
  const { feedback } = parseApproval(approval.text);
  const reason = feedback ? ` Your feedback: "${shorten(feedback)}".` : "";
  return { text: `You did not approve "${shorten(turn.text)}", so I leave it.${reason} ${SIGNATURE}` };
}

function conclusion(turn: Turn): ScriptedReply {
  const sentences = [...turn.answers.values()].map((answer) => {
    if (answer.failed) return `The tool ${answer.name} failed: ${answer.text}`;
    if (answer.name === APPROVAL) {
      const { action } = parseApproval(answer.text);
      return `You approved "${shorten(action ?? turn.text)}"; as a demonstration I change nothing.`;
    }
    if (answer.name === CLOCK) return `The clock says ${answer.text}.`;
    if (answer.name === CALCULATOR) return `The calculator says ${answer.text}.`;
    return `The tool ${answer.name} says: ${answer.text}`;
  });
  return { text: `${sentences.join(" ")} ${SIGNATURE}` };
}

function introduction(turn: Turn, tools: ReadonlySet<string>): ScriptedReply {
  const said = turn.text.trim() === "" ? "You said nothing yet." : `You said: "${shorten(turn.text)}".`;
  const offers = [
    tools.has(CLOCK) ? '"What time is it in Tokyo?"' : "",
    tools.has(CALCULATOR) ? '"Calculate 12 * (3 + 4)"' : "",
    tools.has(APPROVAL) ? '"Send the report with my approval"' : "",
  ].filter((offer) => offer !== "");
  const invitation = offers.length > 0 ? ` Try ${offers.join(", ")}.` : "";
  return {
    text:
      `Hello! I am the built-in demonstration model: scripted, without an API key. ${said}${invitation} ` +
      "For a real model set OPENAI_API_KEY, ANTHROPIC_API_KEY or GOOGLE_API_KEY, or MODEL_NAME, and start again.",
  };
}

function shorten(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length <= 200 ? line : `${line.slice(0, 199)}…`;
}
