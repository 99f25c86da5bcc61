import type { ProcessSettings } from "./database.ts";
import { SETTINGS, type SettingName } from "./settings.ts";

/** Variables between the parts of the command line, and of the tests: not settings, not mistakes either. */
const INTERNAL = /^FRACTAL_(SUPERVISED|LAST_PORT|INTERNAL_.*|TEST_.*)$/;
/** Shorter names are one letter away from ordinary words. */
const LONG = 8;

const DATABASE_URLS: readonly string[] = ["DATABASE_URI", "DATABASE_URL", "POSTGRES_URI"];
const FOR_A_DATABASE = [
  "DATABASE_POOL_MIN_SIZE",
  "DATABASE_POOL_MAX_SIZE",
  "DATABASE_POOL_TIMEOUT",
  "DATABASE_PREPARE",
  "FRACTAL_LEASE_SECONDS",
] as const satisfies readonly SettingName[];

/** Sentences about variables that are set and change nothing: mistyped ones, and settings of a database that is not there. */
export function unheardVariables(
  environment: Readonly<Record<string, string>>,
  { database }: Pick<ProcessSettings, "database">,
): string[] {
  // Platforms set REDIS_URL and POSTGRES_URL for programs of all kinds: no word where they could not be meant for this one.
  const meant = (name: string) =>
    !Object.hasOwn(environment, name) &&
    (database === undefined ? name !== "REDIS_URI" : !DATABASE_URLS.includes(name));
  const known = Object.keys(SETTINGS).filter((name) => name.length >= LONG && meant(name));
  const warnings = Object.keys(environment).flatMap((name) => {
    if (Object.hasOwn(SETTINGS, name) || INTERNAL.test(name)) return [];
    const near = known.find((candidate) => isSlip(name, candidate));
    if (near === undefined && !name.startsWith("FRACTAL_")) return [];
    return `${name} is not a setting of this server; ${near === undefined ? "it is ignored" : `did you mean ${near}?`}`;
  });
  if (database !== undefined) return warnings;
  const idle = FOR_A_DATABASE.filter(
    (name) => (environment[name] ?? SETTINGS[name].default) !== SETTINGS[name].default,
  );
  return [
    ...warnings,
    ...idle.map((name) => `${name} has no effect without PostgreSQL: set DATABASE_URL, or unset it`),
  ];
}

/** One letter too many, too few or wrong, or two that changed places. */
function isSlip(word: string, known: string): boolean {
  const shorter = Math.min(word.length, known.length);
  let start = 0;
  while (start < shorter && word[start] === known[start]) start += 1;
  let end = 0;
  while (end < shorter - start && word.at(-1 - end) === known.at(-1 - end)) end += 1;
  const [a, b] = [word, known].map((text) => text.slice(start, text.length - end)) as [string, string];
  if (a.length <= 1 && b.length <= 1) return true;
  return a.length === 2 && b.length === 2 && a[0] === b[1] && a[1] === b[0];
}
