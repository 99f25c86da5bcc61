/** A value, or why there is none: "syntax" when it is no arithmetic, "value" when it has no finite result. */
export type Evaluation = { value: number } | { error: string; kind: "syntax" | "value" };

const MAX_LENGTH = 1000;
const MAX_DEPTH = 64;

const CONSTANTS: Readonly<Record<string, number>> = { pi: Math.PI, e: Math.E };
const FUNCTIONS: Readonly<Record<string, (...values: number[]) => number>> = {
  abs: (x = Number.NaN) => Math.abs(x),
  ceil: (x = Number.NaN) => Math.ceil(x),
  floor: (x = Number.NaN) => Math.floor(x),
  ln: (x = Number.NaN) => Math.log(x),
  log10: (x = Number.NaN) => Math.log10(x),
  max: (...values) => Math.max(...values),
  min: (...values) => Math.min(...values),
  round: (x = Number.NaN) => Math.round(x),
  sqrt: (x = Number.NaN) => Math.sqrt(x),
};

const TOKEN = /\s*(?:(\d+(?:\.\d+)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)|([a-z][a-z0-9]*)|(\*\*|[-+*/%^(),]))/giy;

class ArithmeticError extends Error {
  readonly kind: "syntax" | "value";
  constructor(kind: "syntax" | "value", message: string) {
    super(message);
    this.kind = kind;
  }
}

/**
 * Numbers, + - * / % ^ (also **), brackets, pi, e and a few functions, by recursive descent: the text is never run
 * as code. Powers bind tighter than signs and to the right, so -2^2 is -4 and 2^3^2 is 512.
 */
export function evaluate(expression: string): Evaluation {
  try {
    const value = new Parser(tokenize(expression)).result();
    if (!Number.isFinite(value)) throw new ArithmeticError("value", "the result is not a finite number");
    return { value };
  } catch (error) {
    if (error instanceof ArithmeticError) return { error: error.message, kind: error.kind };
    throw error;
  }
}

function tokenize(expression: string): string[] {
  if (expression.length > MAX_LENGTH) throw new ArithmeticError("syntax", `longer than ${MAX_LENGTH} characters`);
  const text = expression.trimEnd();
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match)
      throw new ArithmeticError("syntax", `unexpected "${text.slice(at).trim().slice(0, 1)}" at position ${at + 1}`);
    tokens.push((match[1] ?? match[2] ?? match[3] ?? "").toLowerCase());
  }
  return tokens;
}

class Parser {
  readonly #tokens: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens;
  }

  result(): number {
    const value = this.#sum();
    if (this.#at < this.#tokens.length) throw this.#unexpected();
    return value;
  }

  #sum(): number {
    let value = this.#product();
    for (;;) {
      if (this.#take("+")) value += this.#product();
      else if (this.#take("-")) value -= this.#product();
      else return value;
    }
  }

  #product(): number {
    let value = this.#signed();
    for (;;) {
      if (this.#take("*")) value *= this.#signed();
      else if (this.#take("/")) value /= this.#divisor();
      else if (this.#take("%")) value %= this.#divisor();
      else return value;
    }
  }

  #divisor(): number {
    const value = this.#signed();
    if (value === 0) throw new ArithmeticError("value", "division by zero");
    return value;
  }

  #signed(): number {
    // Every nesting passes here, so this is where its depth is bounded.
    if (++this.#depth > MAX_DEPTH) throw new ArithmeticError("syntax", `nested deeper than ${MAX_DEPTH}`);
    const value = this.#take("-") ? -this.#signed() : this.#take("+") ? this.#signed() : this.#power();
    this.#depth--;
    return value;
  }

  #power(): number {
    const base = this.#atom();
    return this.#take("^") || this.#take("**") ? base ** this.#signed() : base;
  }

  #atom(): number {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw new ArithmeticError("syntax", "unexpected end");
    if (/^[\d.]/.test(token)) {
      this.#at++;
      return Number(token);
    }
    if (this.#take("(")) {
      const value = this.#sum();
      this.#expect(")");
      return value;
    }
    if (/^[a-z]/.test(token)) return this.#named(token);
    throw this.#unexpected();
  }

  #named(name: string): number {
    this.#at++;
    const constant = Object.hasOwn(CONSTANTS, name) ? CONSTANTS[name] : undefined;
    if (constant !== undefined) return constant;
    const apply = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
    if (!apply) {
      const known = [...Object.keys(FUNCTIONS), ...Object.keys(CONSTANTS)].join(", ");
      throw new ArithmeticError("syntax", `unknown name "${name}", known are ${known}`);
    }
    this.#expect("(");
    const values = [this.#sum()];
    while (this.#take(",")) values.push(this.#sum());
    this.#expect(")");
    return apply(...values);
  }

  #take(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at++;
    return true;
  }

  #expect(token: string): void {
    if (!this.#take(token)) throw this.#unexpected(`, expected "${token}"`);
  }

  #unexpected(hint = ""): ArithmeticError {
    const token = this.#tokens[this.#at];
    return new ArithmeticError("syntax", (token === undefined ? "unexpected end" : `unexpected "${token}"`) + hint);
  }
}
