import { StorageError } from "#core/storage";

const UNREACHABLE = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "ENOENT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAI_AGAIN",
]);

interface Failure {
  name: string;
  code: string | undefined;
  /** Of the operating system: "connect". */
  syscall: string | undefined;
  message: string;
}

/**
 * Why the database cannot be used, as a StorageError with a sentence for whoever started the server. `inUse` (exit code
 * 69) is what passes by itself or is mended outside of the configuration: not reachable, full of connections. An error
 * that has another reason is returned as it is.
 * @param where "host:5432/database", without user and password.
 */
export function explainOpening(error: unknown, where: string): unknown {
  if (error instanceof StorageError) return error;
  for (const failure of failuresOf(error)) {
    const detail = unavailable(failure, where);
    if (detail !== undefined) return new StorageError(detail, { cause: error, inUse: true });
    const mistake = misconfigured(failure, where);
    if (mistake !== undefined) return new StorageError(mistake, { cause: error });
  }
  return error;
}

/** Whether the network, rather than the other end, is what said no. */
export function isOutOfReach(error: unknown): boolean {
  for (const failure of failuresOf(error)) if (isUnreachable(failure)) return true;
  return false;
}

/** ENOENT is a Unix socket that is not there, or a file, which no network brings back. */
function isUnreachable({ code, syscall }: Failure): boolean {
  return code !== undefined && UNREACHABLE.has(code) && syscall !== "open";
}

function unavailable(failure: Failure, where: string): string | undefined {
  const { code, message } = failure;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return `The host of the database at ${where} is not known (${code}): check the name, or the network.`;
  if (isUnreachable(failure))
    return `The database at ${where} cannot be reached (${code}): check that it runs and that its address is right.`;
  if (code === "53300")
    return `The database at ${where} has no connection left: raise its max_connections, or lower DATABASE_POOL_MAX_SIZE.`;
  if (code !== undefined && /^57P0[1-5]$/.test(code))
    return `The database at ${where} starts or stops right now: start again when it is up.`;
  if (code !== undefined && /^(?:08(?!P01)|53)/.test(code))
    return `The database at ${where} does not answer: ${message}.`;
  if (code === "55P03")
    return `Another session holds a lock in the database at ${where} that is needed: nothing was changed. Try again when it has ended.`;
  if (code === undefined && /connection terminated|timeout expired|timeout exceeded|connection timeout/i.test(message))
    return `The database at ${where} does not answer: ${message}.`;
  return undefined;
}

function misconfigured({ name, code, message }: Failure, where: string): string | undefined {
  if (name === "UnfitServerError") return `${message} (${where}): give the address of the primary.`;
  switch (code) {
    case "28P01":
      return `The database at ${where} refuses the user or the password of the URL.`;
    case "28000":
      return `The database at ${where} does not let this user in: ${message}.`;
    case "3D000":
      return `The server of ${where} has no such database: create it, or correct its name in the URL.`;
    case "42501":
      return `The user may not do what is needed in the database at ${where} (${message}): ${grantFor(message)}.`;
    case "25006":
      return `The database at ${where} is read-only, a replica perhaps: give the address of the primary.`;
    case "42P06":
    case "42P07":
    case "42710":
    case "42723":
      return `The schema fractal of the database at ${where} holds something that does not belong there (${message}): use another database, or take it away.`;
    case "26000":
    case "42P05":
      return `Prepared statements get lost between here and the database at ${where} (${message}): set DATABASE_PREPARE=false, or let the pooler keep them.`;
    case "08P01":
      return `The server or pooler of ${where} refuses the connection: ${message}.`;
    default:
  }
  if (code === undefined && /^SASL: .*password/.test(message))
    return `The database at ${where} wants a password, and the URL has none.`;
  if (message.includes("does not support SSL"))
    return `The database at ${where} does not speak TLS, which sslmode of the URL asks for.`;
  return badCertificate(code, message, where);
}

function badCertificate(code: string | undefined, message: string, where: string): string | undefined {
  if (code === undefined) return undefined;
  const certificate = `The certificate of the database at ${where}`;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return `${certificate} is for another host (${message.replace(/[:\s]+$/, "")}): connect under a name that is in it, or compare no names with sslmode=verify-ca.`;
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID")
    return `${certificate} is not valid now (${code}): renew it, or correct the clock of this machine.`;
  if (/SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/.test(code))
    return `${certificate} is signed by an authority that is not known here (${code}): give the authority's own certificate with sslrootcert.`;
  if (/CERT|^ERR_(?:TLS|SSL|OSSL|BORINGSSL)/.test(code))
    return `TLS with the database at ${where} does not come about (${code}: ${message}): check sslmode and the files that its URL names.`;
  return undefined;
}

/** What is refused is only in the server's text. Where that is not English, another command finds it out. */
function grantFor(message: string): string {
  const all = (rights: string, what: string) => `grant it ${rights} on all ${what} of the schema fractal`;
  if (message.startsWith("must be owner of")) return "connect as the user that made the schema fractal";
  switch (/^permission denied for (\w+)/.exec(message)?.[1]) {
    case "database":
      return "grant it CREATE on the database";
    case "schema":
      return "grant it USAGE on the schema, and CREATE as well if it is to migrate";
    case "table":
    case "view":
      return all("SELECT, INSERT, UPDATE and DELETE", "tables");
    case "sequence":
      return all("USAGE", "sequences");
    case "function":
      return all("EXECUTE", "functions");
    default:
      return "`fractal doctor` says which right is missing";
  }
}

/** The error, those that it hides and those that caused it, outermost first. */
function* failuresOf(error: unknown): Generator<Failure> {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code, syscall } = at as { code?: unknown; syscall?: unknown };
    yield {
      name: at.name,
      code: typeof code === "string" ? code : undefined,
      syscall: typeof syscall === "string" ? syscall : undefined,
      message: at.message,
    };
    if (at instanceof AggregateError) for (const inner of at.errors) yield* failuresOf(inner);
  }
}
