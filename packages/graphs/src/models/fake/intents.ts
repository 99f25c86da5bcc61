import { evaluate } from "../../tools/arithmetic.ts";

const APPROVAL =
  /\b(with|after|subject to|pending) (my |our |your |an? |human )*approval\b|\bask (me |us )?(first|for (my |our )?approval)\b|\bconfirm (it )?with me\b|\brequest_approval\b/i;

const TIME =
  /\bwhat(?:'s| is)? (?:the )?(?:current )?(?:time|date|day)\b|\b(?:current|local) (?:time|date)\b|\btime is it\b|\btoday'?s date\b|\bwhat day is\b|\bthe time (?:in|now)\b|\bget_current_time\b/i;

const CALCULATE = /\b(calculate|compute|calculator|what(?:'s| is)|how much|evaluate|result of|solve)\b|=/i;

/** True when the text wants a person to agree first. */
export function wantsApproval(text: string): boolean {
  return APPROVAL.test(text);
}

/** Set when the text asks for the time; `timezone` is an IANA name written out, or that of a city after "in". */
export function findTimeQuestion(text: string): { timezone?: string } | undefined {
  if (!TIME.test(text)) return undefined;
  const written = /\b([A-Z][A-Za-z_]+(?:\/[A-Z][A-Za-z_+-]+)+|UTC)\b/.exec(text)?.[1];
  if (written) return { timezone: written };
  const place = /\bin ((?:[A-Z][\p{L}'-]*)(?: [A-Z][\p{L}'-]*)*)/u.exec(text)?.[1];
  const suffix = place && `/${place.replaceAll(" ", "_")}`.toLowerCase();
  const zone = suffix && Intl.supportedValuesOf("timeZone").find((name) => name.toLowerCase().endsWith(suffix));
  return zone ? { timezone: zone } : {};
}

const OPERATOR_WORDS: ReadonlyArray<readonly [RegExp, string]> = [
  [/(?<=\d\s*)\bplus\b(?=\s*\d)/gi, "+"],
  [/(?<=\d\s*)\bminus\b(?=\s*\d)/gi, "-"],
  [/(?<=\d\s*)(?:\btimes\b|\bmultiplied by\b|×)(?=\s*\d)/gi, "*"],
  [/(?<=\d\s*)(?:\bdivided by\b|\bover\b|÷)(?=\s*\d)/gi, "/"],
];

/**
 * The longest arithmetic expression in the text. A bare "10-12" inside a sentence is more likely a range or a date:
 * it counts only where the text asks for a result, or consists of nothing else.
 */
export function findArithmetic(text: string): string | undefined {
  let plain = text.slice(0, 2000);
  for (const [word, sign] of OPERATOR_WORDS) plain = plain.replace(word, sign);
  const candidates = (plain.match(/[-+(]*\d[\d\s.+\-*/%^()]*/g) ?? [])
    .map((candidate) => candidate.trim().replace(/[.\s]+$/, ""))
    .filter(
      (candidate) => /[\d)]\s*(\*\*|[-+*/%^])\s*[-+(]*\d/.test(candidate) && !/^\d{4}-\d\d?-\d\d?$/.test(candidate),
    )
    .filter(isValid)
    .sort((a, b) => b.length - a.length);
  const longest = candidates[0];
  if (!longest) return undefined;
  const alone = plain.replace(longest, "").replace(/[\s=?.!]/g, "") === "";
  return alone || CALCULATE.test(plain) ? longest : undefined;
}

/** Division by zero and the like are still arithmetic: the calculator itself should say so. */
function isValid(expression: string): boolean {
  const result = evaluate(expression);
  return "value" in result || result.kind === "value";
}
