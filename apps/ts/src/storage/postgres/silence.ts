import type { Client, ClientBase } from "pg";

export interface SilenceOptions {
  /** How long nothing may pass on a connection under a statement before it is looked into, ms. */
  afterMs: number;
  /** A new connection to the same server, to ask what it does with the others. */
  probe(): Promise<Client>;
  /** Whether a backend belongs to this connection alone. Behind a pooler nobody can say what became of a statement. */
  isDirect(client: ClientBase): boolean;
  /** Connections have died: others that were made when they were may have, too. */
  onDead(): void;
}

interface Waiting {
  /** Bytes that had passed at the last look. */
  bytes: number;
  /** performance.now() when they were first seen; 0: not yet. */
  since: number;
}

/** Backends that are at work; the others wait for their client, which waits for them. */
const WORKING = "select pid from pg_stat_activity where pid = any ($1::int[]) and coalesce(state, '') not like 'idle%'";

/**
 * Finds connections that have died without a word: a firewall has forgotten them, or a machine has vanished. Nothing comes
 * on them, and the server, asked over a new connection, knows of no statement that it is at work on. They are cut off, so
 * that their statements fail in seconds and can be sent again. A statement that takes long is left alone.
 */
export class Silence {
  readonly #options: SilenceOptions;
  readonly #waiting = new Map<ClientBase, Waiting>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #probing = false;
  #closed = false;

  constructor(options: SilenceOptions) {
    this.#options = options;
  }

  /** A statement was sent. */
  begin(client: ClientBase): void {
    this.#waiting.set(client, { bytes: -1, since: 0 });
    if (this.#timer === undefined && !this.#closed) this.#arm();
  }

  /** It was answered, or given up. */
  end(client: ClientBase): void {
    this.#waiting.delete(client);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Every statement is met by a look or two; those that are answered sooner cost no more than their entry. */
  #arm(): void {
    this.#timer = setTimeout(() => this.#look(), this.#options.afterMs / 6);
    this.#timer.unref?.();
  }

  #look(): void {
    this.#timer = undefined;
    const now = performance.now();
    const suspects: [ClientBase, Waiting][] = [];
    for (const [client, waiting] of this.#waiting) {
      const bytes = bytesOf(client);
      if (bytes !== waiting.bytes) Object.assign(waiting, { bytes, since: now });
      else if (now - waiting.since >= this.#options.afterMs && this.#options.isDirect(client)) {
        suspects.push([client, waiting]);
      }
    }
    if (suspects.length > 0 && !this.#probing) void this.#judge(suspects);
    if (this.#waiting.size > 0 && !this.#closed) this.#arm();
  }

  async #judge(suspects: readonly [ClientBase, Waiting][]): Promise<void> {
    this.#probing = true;
    try {
      const working = await this.#working(suspects.map(([client]) => pidOf(client)));
      let died = false;
      for (const [client, waiting] of suspects) {
        const still = this.#waiting.get(client) === waiting && bytesOf(client) === waiting.bytes;
        if (!still || working.has(pidOf(client))) continue;
        streamOf(client).destroy();
        died = true;
      }
      if (died) this.#options.onDead();
    } catch {
      // The server itself does not answer, or cannot now: its statements are waited for as before.
    } finally {
      const now = performance.now();
      for (const [, waiting] of suspects) waiting.since = now;
      this.#probing = false;
    }
  }

  async #working(pids: readonly number[]): Promise<Set<number>> {
    const probe = await this.#options.probe();
    try {
      const { rows } = await probe.query<{ pid: number }>(WORKING, [pids]);
      return new Set(rows.map(({ pid }) => pid));
    } finally {
      void probe.end().catch(() => undefined);
    }
  }
}

function pidOf(client: ClientBase): number {
  return (client as unknown as { processID: number }).processID;
}

function streamOf(client: ClientBase) {
  return (client as Client).connection.stream as unknown as {
    bytesRead: number;
    bytesWritten: number;
    destroy(): void;
  };
}

function bytesOf(client: ClientBase): number {
  const { bytesRead, bytesWritten } = streamOf(client);
  return bytesRead + bytesWritten;
}
