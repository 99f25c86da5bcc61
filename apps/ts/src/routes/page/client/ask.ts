import { element } from "./dom.ts";

/** Shows what a run waits for, and hands the decision to `answer`: the value to resume with. */
export function renderInterrupt(value: unknown, answer: (resume: unknown) => void): HTMLElement {
  const fields = typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  const asked = Array.isArray(fields.action_requests) ? fields.action_requests : [];
  const headline = [asked[0]?.description, fields.message, fields.action, fields.question, value].find(
    (text) => typeof text === "string",
  );
  const approve = element("button", { class: "button primary", type: "button" }, "Approve");
  const reject = element("button", { class: "button", type: "button" }, "Reject");
  const feedback = element("input", {
    type: "text",
    placeholder: "Feedback (optional)",
    "aria-label": "Feedback, optional",
  });
  const decide = (approved: boolean) => {
    approve.disabled = true;
    reject.disabled = true;
    const words = feedback.value.trim();
    if (asked.length > 0) {
      const decision = approved ? { type: "approve" } : { type: "reject", ...(words !== "" && { message: words }) };
      answer({ decisions: asked.map(() => decision) });
    } else answer(words === "" ? { approved } : { approved, feedback: words });
  };
  approve.addEventListener("click", () => decide(true));
  reject.addEventListener("click", () => decide(false));
  const box = element(
    "section",
    { class: "ask", "aria-label": "The agent asks for your decision" },
    element("h2", {}, "Your decision is needed"),
    element("div", {}, String(headline ?? "The run has stopped and waits for you.")),
  );
  if (headline !== value) {
    box.append(
      element(
        "details",
        {},
        element("summary", { class: "quiet" }, "Details"),
        element("pre", {}, JSON.stringify(value, null, 2)),
      ),
    );
  }
  box.append(feedback, element("div", { class: "row" }, approve, reject));
  return box;
}
