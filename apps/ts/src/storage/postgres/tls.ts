import { readFileSync } from "node:fs";
import { StorageError } from "#core/storage";

/** What PostgreSQL's own clients know, and the driver's name for `require` that looks at no file. */
const MODES = ["disable", "prefer", "require", "no-verify", "verify-ca", "verify-full"];
/** The driver checks everything under these names too, unless it is told to mean by them what PostgreSQL does. */
const WEAKER = ["prefer", "require", "verify-ca"];
const FLAGS = ["true", "1", "0", "no-verify"];
const FILES = ["sslrootcert", "sslcert", "sslkey"];

/**
 * The URL of a database with its `sslmode` put so that the driver means by it what PostgreSQL's documentation says. A
 * value that the driver would take for something else, and a file that it could not use, are a StorageError.
 */
export function withTls(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null) return url;
  const given = (name: string) => parsed.searchParams.getAll(name).at(-1) || undefined;
  const mode = given("sslmode");
  refuseUnknown("sslmode", mode, MODES);
  refuseUnknown("ssl", given("ssl"), FLAGS);
  for (const name of FILES) refuseFile(name, given(name));
  if (mode === "verify-ca" && given("sslrootcert") === undefined) {
    throw new StorageError(
      "The URL of the database has sslmode=verify-ca, which needs sslrootcert: the file with the certificate of the authority.",
    );
  }
  parsed.searchParams.delete("uselibpqcompat");
  if (mode !== undefined && WEAKER.includes(mode)) parsed.searchParams.set("uselibpqcompat", "true");
  return mode === undefined ? url : parsed.href;
}

/** Whether the connection is encrypted without anybody looking at who is at its other end. */
export function trustsAnybody(url: string): boolean {
  const parameters = URL.parse(url)?.searchParams;
  const mode = parameters?.getAll("sslmode").at(-1);
  if (mode === "require") return !parameters?.get("sslrootcert");
  return mode === "prefer" || mode === "no-verify" || (!mode && parameters?.getAll("ssl").at(-1) === "no-verify");
}

function refuseUnknown(name: string, value: string | undefined, known: readonly string[]): void {
  if (value === undefined || known.includes(value)) return;
  throw new StorageError(`The URL of the database has ${name}=${value}; it must be one of ${known.join(", ")}.`);
}

function refuseFile(name: string, path: string | undefined): void {
  if (path === undefined) return;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw new StorageError(
      `The file ${path}, which the URL of the database names as ${name}, cannot be read (${reason}).`,
      { cause: error },
    );
  }
  // An engine may pass over an authority that it cannot read, and then trust those of the system instead.
  if (name !== "sslkey" && !/-----BEGIN [A-Z ]*CERTIFICATE-----/.test(text)) {
    throw new StorageError(
      `The file ${path}, which the URL of the database names as ${name}, holds no certificate in PEM form.`,
    );
  }
}
