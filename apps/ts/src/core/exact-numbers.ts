/**
 * Numbers of JSON that no double holds. Where the server only stores a value, such a number stands in it as raw JSON
 * (`JSON.rawJSON`), which JSON.stringify writes digit by digit; everything else is an ordinary number. Graph code never
 * sees one: `toPlain` gives it the nearest double.
 */
export interface ExactNumber {
  /** Decimal digits without an exponent, without zeros at either end. */
  readonly rawJSON: string;
}

/** Not in the compiler's library yet; in V8 since Node 21, and in Bun. */
const json = JSON as unknown as {
  rawJSON(text: string): ExactNumber;
  isRawJSON(value: unknown): value is ExactNumber;
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown;
};

/** Digits of a number that is kept exactly, written out. */
export const MOST_DIGITS = 1_000;

/** Stands for a number that has more. */
export const TOO_LONG = json.rawJSON("0.1");

export function isExact(value: unknown): value is ExactNumber {
  return json.isRawJSON(value);
}

/** JSON that the server only stores, or has stored: its numbers keep their value. */
export function parseStored(text: string): unknown {
  if (!hasLongNumber(text)) return JSON.parse(text);
  return json.parse(text, (_, value, { source }) => exactly(value, source));
}

/** For code that computes: the nearest double in place of an exact number. The value itself where it has none. */
export function toPlain<T>(value: T): T {
  return containsExact(value) ? (JSON.parse(JSON.stringify(value)) as T) : value;
}

function containsExact(root: unknown): boolean {
  const open: unknown[] = [root];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value !== "object" || value === null) continue;
    if (isExact(value)) return true;
    for (const part of Object.values(value)) if (typeof part === "object") open.push(part);
  }
  return false;
}

/** Below this many digits and points a number without a large exponent has as many significant digits as a double. */
const LONG = 16;

/**
 * Whether a text may hold a number that no double holds. Of every run of 16 digits one stands at a multiple of 16, so few
 * characters are looked at: every text that is stored or read is asked.
 */
export function hasLongNumber(text: string): boolean {
  for (let at = LONG - 1; at < text.length; at += LONG) {
    if (!isDigit(text.charCodeAt(at))) continue;
    let from = at;
    while (isDigit(text.charCodeAt(from - 1))) from--;
    let to = at + 1;
    while (isDigit(text.charCodeAt(to))) to++;
    if (to - from >= LONG) return true;
  }
  // Too small for a double.
  return /[eE]-\d{3}/.test(text);
}

/** Of 0 to 9, or the point; false for NaN, which stands before and after a text. */
function isDigit(code: number): boolean {
  return (code >= 48 && code <= 57) || code === 46;
}

function exactly(value: unknown, source: string | undefined): unknown {
  if (typeof value !== "number" || source === undefined) return value;
  if (source.length < LONG && !/[eE]-\d{3}/.test(source)) return value;
  if (source.length > MOST_DIGITS) return TOO_LONG;
  const [given, held] = [decimalOf(source), decimalOf(String(value))];
  if (compareDecimals(given, held) === 0) return value;
  return Math.abs(given.exponent) > MOST_DIGITS ? TOO_LONG : json.rawJSON(textOf(given));
}

/** A number as its significant digits times a power of ten; no digits: zero. */
interface Decimal {
  negative: boolean;
  digits: string;
  exponent: number;
}

const DECIMAL = /^\s*([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?\s*$/;

function decimalOf(text: string): Decimal {
  const [, sign, whole = "", fraction = "", exponent = "0"] = DECIMAL.exec(text) ?? [];
  const all = (whole + fraction).replace(/^0+/, "");
  let end = all.length;
  while (end > 0 && all[end - 1] === "0") end--;
  if (end === 0) return { negative: false, digits: "", exponent: 0 };
  const shift = Number(exponent) - fraction.length + all.length - end;
  return { negative: sign === "-", digits: all.slice(0, end), exponent: shift };
}

function textOf({ negative, digits, exponent }: Decimal): string {
  const point = digits.length + exponent;
  const sign = negative ? "-" : "";
  if (exponent >= 0) return sign + digits.padEnd(point, "0");
  return point > 0
    ? `${sign}${digits.slice(0, point)}.${digits.slice(point)}`
    : `${sign}0.${"0".repeat(-point)}${digits}`;
}

function compareDecimals(a: Decimal, b: Decimal): number {
  if (a.digits === "" || b.digits === "" || a.negative !== b.negative) return signOf(a) - signOf(b);
  const size = a.digits.length + a.exponent - b.digits.length - b.exponent;
  const larger = size !== 0 ? size : a.digits < b.digits ? -1 : a.digits > b.digits ? 1 : 0;
  return a.negative ? -larger : larger;
}

function signOf({ negative, digits }: Decimal): number {
  return digits === "" ? 0 : negative ? -1 : 1;
}

/** Order of two numbers by their decimal texts: negative, 0 or positive. */
export function compareNumberTexts(a: string, b: string): number {
  return compareDecimals(decimalOf(a), decimalOf(b));
}
