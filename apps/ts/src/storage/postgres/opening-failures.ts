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
  code: string | undefined;
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
  for (const { code } of failuresOf(error)) if (code !== undefined && UNREACHABLE.has(code)) return true;
  return false;
}

function unavailable({ code, message }: Failure, where: string): string | undefined {
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return `The host of the database at ${where} is not known (${code}): check the name, or the network.`;
  if (code !== undefined && UNREACHABLE.has(code))
    return `The database at ${where} cannot be reached (${code}): check that it runs and that its address is right.`;
  if (code === "53300")
    return `The database at ${where} has no connection left: raise its max_connections, or lower DATABASE_POOL_MAX_SIZE.`;
  if (code !== undefined && /^57P0[1-5]$/.test(code))
    return `The database at ${where} starts or stops right now: start again when it is up.`;
  if (code !== undefined && /^(?:08(?!P01)|53)/.test(code))
    return `The database at ${where} does not answer: ${message}.`;
  if (code === undefined && /connection terminated|timeout expired|timeout exceeded|connection timeout/i.test(message))
    return `The database at ${where} does not answer: ${message}.`;
  return undefined;
}

function misconfigured({ code, message }: Failure, where: string): string | undefined {
  switch (code) {
    case "28P01":
      return `The database at ${where} refuses the user or the password of the URL.`;
    case "28000":
      return `The database at ${where} does not let this user in: ${message}.`;
    case "3D000":
      return `The server of ${where} has no such database: create it, or correct its name in the URL.`;
    case "42501":
      return `The user may not do what is needed in the database at ${where} (${message}): grant it CREATE on the database.`;
    case "25006":
      return `The database at ${where} is read-only, a replica perhaps: give the address of the primary.`;
    case "08P01":
      return `The server or pooler of ${where} refuses the connection: ${message}.`;
    default:
  }
  if (code === undefined && /^SASL: .*password/.test(message))
    return `The database at ${where} wants a password, and the URL has none.`;
  if (message.includes("does not support SSL"))
    return `The database at ${where} does not speak TLS, which sslmode of the URL asks for.`;
  if (code !== undefined && /CERT|^ERR_TLS|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code))
    return `The certificate of the database at ${where} is not accepted (${code}): give its authority with sslrootcert.`;
  return undefined;
}

/** The error, those that it hides and those that caused it, outermost first. */
function* failuresOf(error: unknown): Generator<Failure> {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as { code?: unknown };
    yield { code: typeof code === "string" ? code : undefined, message: at.message };
    if (at instanceof AggregateError) for (const inner of at.errors) yield* failuresOf(inner);
  }
}
