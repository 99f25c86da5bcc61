import { complaintOf, element } from "./dom.ts";
import { createForm } from "./fields.ts";
import { renderMarkdown } from "./markdown.ts";
import type { Choice, Decision, Interrupt } from "./questions.ts";
import { isFields, readQuestion } from "./questions.ts";

/** Names with their values; anything else as JSON. */
export function renderArgs(args: unknown): HTMLElement {
  const pretty = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
  if (!isFields(args)) return element("pre", {}, pretty(args));
  const list = element("dl", {});
  for (const [name, value] of Object.entries(args)) {
    list.append(element("dt", {}, name), element("dd", {}, element("pre", {}, pretty(value))));
  }
  return list;
}

/** One decision. `decided` hears what was chosen, and undefined when it is taken back. */
export function renderDecision(
  decision: Decision,
  decided: (given: { value: unknown } | undefined) => void,
): HTMLElement {
  const { choices } = decision;
  const box = element("div", { class: "decision" }, element("h3", {}, decision.title));
  if (decision.description !== undefined) {
    box.append(element("div", { class: "text" }, ...renderMarkdown(decision.description)));
  }
  const args = renderArgs(decision.args);
  args.hidden = decision.args === undefined || (isFields(decision.args) && Object.keys(decision.args).length === 0);
  const form = createForm(decision.form?.schema ?? {}, decision.form?.value);
  const isOpen = decision.form?.open === true;
  form.node.hidden = !isOpen;
  const label = decision.placeholder ?? "";
  const words = element("textarea", { rows: "1", placeholder: label, "aria-label": label });
  words.hidden = !choices.some(({ takes }) => takes === "text" || takes === "words");
  const problem = element("p", { class: "problem", role: "alert" });
  problem.hidden = true;
  const row = element("div", { class: "row" });
  const inputs = element("div", { class: "inputs" }, form.node, words, problem, row);

  const settle = ({ label: name, takes, value }: Choice) => {
    let given: unknown;
    try {
      given = takes === "edited" ? form.read() : words.value.trim();
      if (takes === "words" && given === "") throw new Error("Write an answer first.");
    } catch (error) {
      problem.hidden = false;
      problem.textContent = complaintOf(error);
      return;
    }
    const change = element("button", { class: "button", type: "button" }, "Change");
    const done = element("div", { class: "row done" }, element("span", {}, `Decided: ${name}`), change);
    change.addEventListener("click", () => {
      done.replaceWith(inputs);
      decided(undefined);
    });
    problem.hidden = true;
    inputs.replaceWith(done);
    decided({ value: value(given) });
  };
  const button = (name: string, primary: boolean, onClick: () => void) => {
    const node = element("button", { class: primary ? "button primary" : "button", type: "button" }, name);
    node.addEventListener("click", onClick);
    return node;
  };
  const edit = (choice: Choice) => {
    const shownBefore = [args.hidden, words.hidden] as const;
    const close = () => {
      form.node.hidden = true;
      problem.hidden = true;
      [args.hidden, words.hidden] = shownBefore;
      offer();
    };
    form.node.hidden = false;
    args.hidden = true;
    words.hidden = true;
    row.replaceChildren(
      button("Send the change", true, () => settle(choice)),
      button("Cancel", false, close),
    );
    form.node.querySelector<HTMLElement>("textarea, input, select")?.focus();
  };
  const offer = () => {
    const nodes = choices.map((choice) =>
      button(choice.label, choice.primary === true, () =>
        choice.takes === "edited" && !isOpen ? edit(choice) : settle(choice),
      ),
    );
    row.replaceChildren(...nodes);
  };
  words.addEventListener("keydown", (key) => {
    const [only] = choices;
    if (key.key !== "Enter" || key.shiftKey || key.isComposing || choices.length !== 1 || only === undefined) return;
    key.preventDefault();
    settle(only);
  });
  offer();
  box.append(args, inputs);
  return box;
}

export interface Asked {
  node: HTMLElement;
  /** Answers with the text of the message box; undefined where a text is no answer. */
  answerText: ((text: string) => void) | undefined;
}

/** Shows everything a thread waits for. `answer` gets the value to resume with once all of it is decided. */
export function renderInterrupts(interrupts: Interrupt[], answer: (resume: unknown) => void): Asked {
  const questions = interrupts.map(readQuestion);
  const given = questions.map(({ decisions }) => decisions.map((): { value: unknown } | undefined => undefined));
  const count = given.flat().length;
  const title = element("h2", {}, count === 1 ? "Your decision is needed" : `${count} decisions are needed`);
  const node = element("section", { class: "ask", "aria-label": "The run waits for your decision" }, title);
  const settle = () => {
    const open = given.flat().filter((one) => one === undefined).length;
    if (open > 0) {
      title.textContent = `${count - open} of ${count} decided; the run goes on when all are`;
      return;
    }
    node.inert = true;
    const values = questions.map(({ resume }, at) => resume((given[at] ?? []).map((one) => one?.value)));
    const byId = Object.fromEntries(interrupts.map(({ id }, at) => [id ?? "", values[at]]));
    answer(interrupts.length === 1 ? values[0] : byId);
  };
  for (const [at, { decisions }] of questions.entries()) {
    for (const [index, decision] of decisions.entries()) {
      const decided = (value: { value: unknown } | undefined) => {
        (given[at] ?? [])[index] = value;
        settle();
      };
      node.append(renderDecision(decision, decided));
    }
  }
  const [only] = questions;
  const inWords = only?.decisions[0]?.choices.find(({ takes }) => takes === "words");
  const answerText = (text: string) => answer(only?.resume([inWords?.value(text)]));
  return { node, answerText: count === 1 && inWords !== undefined ? answerText : undefined };
}
