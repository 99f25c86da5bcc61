import { StorageError } from "#core/storage";

/** Where a server is, as the client library takes it; secrets stand nowhere else. */
export interface Address {
  host: string;
  port: number;
  db: number;
  username?: string;
  password?: string;
  tls?: object;
}

const EXAMPLE = "redis://[user:password@]host:6379[/db]";
const SCHEMES: Record<string, { tls: boolean } | undefined> = {
  "redis:": { tls: false },
  "valkey:": { tls: false },
  "rediss:": { tls: true },
  "valkeys:": { tls: true },
};

/** Reads a REDIS_URI. Throws StorageError, which does not repeat the text: it may hold a password. */
export function parseAddress(text: string): Address {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const scheme = url && SCHEMES[url.protocol];
  const db = Number(url?.pathname.slice(1) || 0);
  if (url === undefined || scheme === undefined || url.hostname === "" || !Number.isInteger(db) || db < 0) {
    throw new StorageError(`REDIS_URI is not the address of a Valkey or Redis server. Expected ${EXAMPLE}`);
  }
  // IPv6 stands in brackets in a URL, but not for a socket.
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return {
    host,
    port: Number(url.port || 6379),
    db,
    ...(url.username !== "" && { username: decoded(url.username) }),
    ...(url.password !== "" && { password: decoded(url.password) }),
    ...(scheme.tls && { tls: {} }),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new StorageError("The user name or password in REDIS_URI holds a % that is not followed by two hex digits", {
      cause: error,
    });
  }
}

/** For people: host, port and database, never credentials. */
export function describe({ host, port, db }: Address): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}/${db}`;
}

/** Why the server cannot be used at start, for the person who started ours. */
export function explain(error: unknown, address: Address): StorageError {
  const name = `The Valkey or Redis server of REDIS_URI (${describe(address)})`;
  const said = error instanceof Error ? error.message : String(error);
  return new StorageError(`${name} ${reason(error, said)}`, { cause: error });
}

function reason(error: unknown, said: string): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  if (/^(?:WRONGPASS|NOAUTH)|invalid password/i.test(said)) return "refuses the user name or password.";
  if (/^NOPERM/.test(said)) return `does not let this user read, write and publish "fractal:*": ${said}`;
  if (/^READONLY/.test(said)) return "is a replica and takes no writes. Give the address of the primary.";
  if (/DB index is out of range/.test(said)) return "has no database of that number.";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "has a host name that is not known here.";
  if (code === "ECONNREFUSED") return "does not answer: nothing listens there.";
  return `cannot be used: ${said}. Correct the address, start the server, or leave REDIS_URI out: it is optional.`;
}
