/** What counts as a secret, by its key: the one place for logs, answers and environments. */

/** What stands in the place of a secret in answers. Sent back, it means the value that is stored. */
export const MASK = "********";

/** In a log line a word too many does no harm. */
const ANYWHERE = /authorization|cookie|api[-_]?key|token|secret|password|dsn/i;
/** In data that clients read and send back, `max_tokens` and `token_budget` are theirs to see. */
const AT_END =
  /(?:(?:api|secret|access|private|signing)[-_]?keys?|secrets?|passw(?:or)?ds?|passphrase|authorization|credentials?|cookies?|(?:(?:api|access|auth|bearer|refresh)[-_]?tokens|token)|(?:^|[-_])dsn)$/i;
const VARIABLE = /(KEY|SECRET|TOKEN|PASSWORD|PASSWD|DSN|CREDENTIALS?)$/i;
/** Says where the secrets beside it are sent. */
const ENDPOINT = /(?:url|uri|endpoint|host|address)$/i;

/** For logs. */
export function mayBeSecretKey(key: string): boolean {
  return ANYWHERE.test(key);
}

/** For what clients read: configuration, metadata. Everything below such a key is a secret. */
export function isSecretKey(key: string): boolean {
  return AT_END.test(key);
}

/** For the environment of the process. */
export function isSecretVariable(name: string): boolean {
  return VARIABLE.test(name);
}

type Dict = Record<string, unknown>;

/** A copy with every secret text masked; the value itself where there is none. Numbers and flags stay. */
export function maskSecrets<T>(value: T): T {
  return masked(value, false) as T;
}

function masked(value: unknown, hidden: boolean): unknown {
  if (typeof value === "string") return hidden && value !== "" ? MASK : value;
  if (Array.isArray(value)) {
    const items = value.map((item) => masked(item, hidden));
    return items.every((item, i) => item === value[i]) ? value : items;
  }
  if (!isDict(value)) return value;
  let copy: Dict | undefined;
  for (const [key, item] of Object.entries(value)) {
    const shown = masked(item, hidden || isSecretKey(key));
    if (shown === item) continue;
    copy ??= { ...value };
    copy[key] = shown;
  }
  return copy ?? value;
}

export interface Unmasked<T> {
  value: T;
  /** Paths of masks that stand for nothing: no secret is stored there, or it belongs to another endpoint. */
  stray: string[];
}

/**
 * Puts the stored secrets back where `given` has masks. A secret is not put beside an endpoint that it was not stored with:
 * otherwise anyone who can write a configuration could have the secret sent to their own host.
 */
export function unmaskSecrets<T>(given: T, stored: unknown): Unmasked<T> {
  const stray: string[] = [];
  const value = restored({ given, stored, path: "", hidden: false }, stray) as T;
  return { value, stray };
}

interface Place {
  given: unknown;
  stored: unknown;
  path: string;
  hidden: boolean;
}

function restored({ given, stored, path, hidden }: Place, stray: string[]): unknown {
  if (given === MASK && hidden) {
    if (typeof stored === "string" && stored !== "") return stored;
    stray.push(path);
    return given;
  }
  if (Array.isArray(given)) {
    const before = Array.isArray(stored) ? stored : [];
    return same(
      given,
      given.map((item, i) => restored({ given: item, stored: before[i], path: `${path}.${i}`, hidden }, stray)),
    );
  }
  if (!isDict(given)) return given;
  const before = isDict(stored) && !movedEndpoint(given, stored) ? stored : {};
  let copy: Dict | undefined;
  for (const [key, item] of Object.entries(given)) {
    const place = { given: item, stored: Object.hasOwn(before, key) ? before[key] : undefined };
    const value = restored(
      { ...place, path: path === "" ? key : `${path}.${key}`, hidden: hidden || isSecretKey(key) },
      stray,
    );
    if (value === item) continue;
    copy ??= { ...given };
    copy[key] = value;
  }
  return copy ?? given;
}

function same(before: unknown[], after: unknown[]): unknown[] {
  return after.every((item, i) => item === before[i]) ? before : after;
}

function movedEndpoint(given: Dict, stored: Dict): boolean {
  return Object.entries(given).some(
    ([key, item]) => typeof item === "string" && ENDPOINT.test(key) && !isSecretKey(key) && item !== stored[key],
  );
}

function isDict(value: unknown): value is Dict {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
