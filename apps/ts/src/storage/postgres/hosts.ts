import { setTimeout as delay } from "node:timers/promises";
import { hostUrls } from "@fractal-agents/infra/host-urls";
import { Client, type ClientConfig } from "pg";
import { StorageError } from "#core/storage";
import { isConnectionFailure } from "./failures.ts";
import type { Identity } from "./identity.ts";
import { withTls } from "./tls.ts";

/** A server that does not answer must not hold up the next attempt. */
const FAREWELL_MS = 500;
/** What PostgreSQL's own clients know as target_session_attrs. */
const ATTRIBUTES = ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"];
/** A server writes: with these it would get a connection on which it cannot. */
const USELESS = ["read-only", "standby", "prefer-standby"];

/**
 * The hosts of a database's URL. New connections go to the one that served last; when it does not any more, to the next,
 * and after the last to the first again.
 */
export class Hosts {
  readonly #urls: readonly string[];
  #at = 0;
  /** target_session_attrs=read-write: a session that is read-only by default will not do either. */
  readonly readWrite: boolean;

  /** Throws StorageError for what a server could not work with. */
  constructor(url: string) {
    const urls = hostUrls(url);
    const [first] = urls;
    if (first === undefined) throw new StorageError("The URL of the database is not valid.");
    const parameters = new URL(first).searchParams;
    const attributes = parameters.get("target_session_attrs") ?? "any";
    refuse("target_session_attrs", attributes, ATTRIBUTES);
    if (USELESS.includes(attributes)) {
      throw new StorageError(
        `The URL of the database has target_session_attrs=${attributes}, but the server writes: use primary or read-write.`,
      );
    }
    const order = parameters.get("load_balance_hosts") ?? "disable";
    refuse("load_balance_hosts", order, ["disable", "random"]);
    this.readWrite = attributes === "read-write";
    this.#urls = (order === "random" ? shuffled(urls) : urls).map(withTls);
  }

  get count(): number {
    return this.#urls.length;
  }

  /** Of the host that is tried next. */
  get url(): string {
    return this.#urls[this.#at] as string;
  }

  /** The host of this URL was refused. Ignored for a host that is no longer the current one. */
  failed(url: string): void {
    if (url === this.url) this.#at = (this.#at + 1) % this.count;
  }
}

function refuse(name: string, value: string, known: readonly string[]): void {
  if (known.includes(value)) return;
  throw new StorageError(`The URL of the database has ${name}=${value}; it must be one of ${known.join(", ")}.`);
}

function shuffled(urls: readonly string[]): string[] {
  return urls
    .map((url) => ({ url, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ url }) => url);
}

/** A connection of its own, outside of the pool, to the first host that will do. It is the caller's to end. */
export async function connectTo(hosts: Hosts, identity: Identity, config: ClientConfig): Promise<Client> {
  for (let tried = 1; ; tried++) {
    const { url } = hosts;
    const client = new Client({ ...config, connectionString: url });
    // What is wrong with it is told by the statement that needs it.
    client.on("error", () => undefined);
    try {
      await client.connect();
      await identity.check(client);
      return client;
    } catch (error) {
      hosts.failed(url);
      // Also where connecting failed: a server that waits for a password keeps the connection.
      // Others who make or drop a database wait for it, and so does the process for its end.
      await Promise.race([client.end().catch(() => undefined), delay(FAREWELL_MS, undefined, { ref: false })]);
      // A host that answers and lets nobody in ends the search, as it does for PostgreSQL's own clients.
      if (tried >= hosts.count || !isConnectionFailure(error)) throw error;
    }
  }
}
