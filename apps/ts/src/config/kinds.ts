import { hostUrls } from "@fractal-agents/infra/host-urls";
import { z } from "zod";
import { describeJsonError } from "#routes/json-error";

/** A setting is data: the parser, `.env.example` and the table of docs/settings.md are all made from it. */
export interface Setting<T> {
  section: string;
  description: string;
  /** Text of the default as one would write it; undefined when the setting is simply not set. */
  default: string | undefined;
  /** What the reference shows when the default is worked out from something else. */
  shownDefault?: string | undefined;
  /** What values there are, for the reference: "whole number, 0 to 65535". */
  values: string;
  /** Never shown in a message, a log or a table. */
  secret: boolean;
  parse: z.ZodType<T, string>;
}

interface About {
  section: string;
  description: string;
  shownDefault?: string;
}
type WithDefault = About & { default: string };
type MaybeDefault = About & { default?: string };
type Limits = { min: number; max?: number };

/** A setting whose value is there even when nobody sets it, if it was declared with a default. */
type Declared<T, A> = Omit<Setting<T>, "default"> & { default: A extends WithDefault ? string : undefined };

const TRUE = ["true", "1", "yes", "on"];
const FALSE = ["false", "0", "no", "off"];

/** A text is refused by throwing; the message ends a sentence that starts with the setting's name. */
function parser<T>(read: (text: string) => T): z.ZodType<T, string> {
  return z.string().transform((text, context) => {
    try {
      return read(text);
    } catch (error) {
      context.addIssue({ code: "custom", message: (error as Error).message });
      return z.NEVER;
    }
  });
}

function refuse(expected: string, text: string): never {
  throw new Error(`must be ${expected}, not "${text.length > 60 ? `${text.slice(0, 60)}...` : text}"`);
}

function setting<T, A extends MaybeDefault>(
  about: A,
  given: Pick<Setting<T>, "values" | "parse"> & { secret?: boolean },
): Declared<T, A> {
  return { secret: false, default: undefined, ...about, ...given } as unknown as Declared<T, A>;
}

export function text<const A extends MaybeDefault>(about: A): Declared<string, A> {
  return setting(about, { values: "text", parse: parser((value) => value) });
}

export function secret(about: About): Declared<string, About> {
  return setting(about, { values: "secret", secret: true, parse: parser((value) => value) });
}

export function url(about: About): Declared<string, About> {
  const read = (value: string) =>
    isHttpUrl(value) ? value : refuse("a URL that starts with http:// or https://", value);
  return setting(about, { values: "URL", parse: parser(read) });
}

/**
 * A URL with a password in it. The value is in no message; `schemes` are what it may start with.
 * Special characters in the user and the password must be percent-encoded, or the parts cannot be told apart.
 */
export function connection(about: About, schemes: readonly string[]): Declared<string, About> {
  const starts = schemes.map((scheme) => `${scheme}://`).join(" or ");
  const read = (value: string) => {
    if (!schemes.some((scheme) => value.toLowerCase().startsWith(`${scheme}://`))) {
      throw new Error(`must be a URL that starts with ${starts}`);
    }
    if (hostUrls(value).length === 0 || encodingFails(value)) {
      throw new Error("is not a valid URL; special characters in its user and password must be percent-encoded");
    }
    return value;
  };
  return setting(about, { values: "secret URL", secret: true, parse: parser(read) });
}

export function flag<const A extends MaybeDefault>(about: A): Declared<boolean, A> {
  const read = (value: string) => {
    const word = value.toLowerCase();
    if (TRUE.includes(word)) return true;
    return FALSE.includes(word) ? false : refuse("true or false", value);
  };
  return setting(about, { values: "true, false", parse: parser(read) });
}

export function integer(about: WithDefault, limits: Limits): Declared<number, WithDefault> {
  const values = `whole number${range(limits)}`;
  const read = (value: string) =>
    /^[+-]?\d+$/.test(value) && within(Number(value), limits) ? Number(value) : refuse(`a ${values}`, value);
  return setting(about, { values, parse: parser(read) });
}

export function number(about: WithDefault, limits: Limits): Declared<number, WithDefault> {
  const values = `number${range(limits)}`;
  const read = (value: string) =>
    /^[+-]?\d+(\.\d+)?$/.test(value) && within(Number(value), limits) ? Number(value) : refuse(`a ${values}`, value);
  return setting(about, { values, parse: parser(read) });
}

/** Case does not matter. @param aliases Other spellings that mean one of the values. */
export function choice<const T extends string, const A extends About & { default?: T }>(
  about: A,
  values: readonly T[],
  aliases: Readonly<Record<string, T>> = {},
): Declared<T, A> {
  const known = new Map<string, T>(values.map((value) => [value.toLowerCase(), value]));
  for (const [alias, value] of Object.entries(aliases)) known.set(alias, value);
  const read = (value: string) => known.get(value.toLowerCase()) ?? refuse(`one of ${values.join(", ")}`, value);
  return setting(about, { values: values.join(", "), parse: parser(read) });
}

/** @param problemOf What is wrong with an item, as the end of a sentence that starts with the setting's name. */
export function list<const A extends MaybeDefault>(
  about: A,
  problemOf: (item: string) => string | undefined = () => undefined,
): Declared<string[], A> {
  const read = (value: string) => {
    const items = value
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== "");
    const problem = items.map(problemOf).find((found) => found !== undefined);
    if (problem !== undefined) throw new Error(problem);
    return items;
  };
  return setting(about, { values: "comma-separated list", parse: parser(read) });
}

/** A JSON object; what must be in it is judged where it is used, as the same key of langgraph.json. */
export function json(about: About): Declared<Record<string, unknown>, About> {
  const read = (value: string) => {
    let parsed: unknown;
    try {
      parsed = JSON.parse(value);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new Error(`must be JSON: ${describeJsonError(value).replace("Invalid JSON at ", "")}`);
    }
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
      throw new Error("must be a JSON object");
    return parsed as Record<string, unknown>;
  };
  return setting(about, { values: "JSON object", parse: parser(read) });
}

function range({ min, max }: Limits): string {
  return max === undefined ? `, at least ${min}` : `, ${min} to ${max}`;
}

function within(value: number, { min, max }: Limits): boolean {
  return value >= min && value <= (max ?? Number.MAX_SAFE_INTEGER);
}

function isHttpUrl(value: string): boolean {
  return /^https?:$/.test(URL.parse(value)?.protocol ?? "");
}

/** Clients decode the parts of a URL: a lone % would fail there, with the value in the message. */
function encodingFails(value: string): boolean {
  try {
    decodeURI(value);
    return false;
  } catch {
    // The caller turns the answer into a message.
    return true;
  }
}
