import { newId } from "@fractal-agents/infra/ids";
import type { Hint } from "#core/signals";

/** Hints that may wait for their message; more are lost, which hints may be. */
const MOST_WAITING = 10_000;

interface Message {
  /** The process that speaks: it does not listen to itself. */
  from: string;
  hints: Hint[];
}

export interface HintBoxOptions {
  /** At most one message in this time, ms. */
  coalesceMs: number;
  /** Longest message, characters. */
  maxLength: number;
  /** Hands a message to the medium. Must not throw. */
  send(text: string): void;
  /** A listener threw. */
  failed(error: unknown, hint: Hint): void;
}

/** Gathers hints into few messages, and hands those of others to the listeners of this process. */
export class HintBox {
  readonly #id = newId();
  readonly #options: HintBoxOptions;
  readonly #listeners = new Set<(hint: Hint) => void>();
  readonly #waiting = new Map<string, Hint>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sentAt = Number.NEGATIVE_INFINITY;

  constructor(options: HintBoxOptions) {
    this.#options = options;
  }

  put(hint: Hint): void {
    if (this.#waiting.size >= MOST_WAITING) return;
    this.#waiting.set(keyOf(hint), hint);
    if (this.#timer !== undefined) return;
    const wait = Math.max(0, this.#sentAt + this.#options.coalesceMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.flush();
    }, wait);
  }

  listen(listener: (hint: Hint) => void): () => void {
    // A wrapper of its own: whoever subscribes twice is told twice, and stops twice.
    const own = (hint: Hint) => listener(hint);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /** Sends what waits, now. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sentAt = performance.now();
    while (this.#waiting.size > 0) this.#options.send(this.#take());
  }

  /** A message of the medium. Others may write there, and other versions of ours: what is not understood is left out. */
  hear(text: string): boolean {
    const message = messageOf(text);
    if (message === undefined) return false;
    if (message.from === this.#id) return true;
    for (const hint of message.hints) {
      for (const listener of this.#listeners) {
        try {
          listener(hint);
        } catch (error) {
          this.#options.failed(error, hint);
        }
      }
    }
    return true;
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#waiting.clear();
    this.#listeners.clear();
  }

  #take(): string {
    const hints: Hint[] = [];
    // The frame, and a comma per hint.
    let length = JSON.stringify({ from: this.#id, hints: [] }).length;
    for (const [key, hint] of this.#waiting) {
      length += JSON.stringify(hint).length + 1;
      if (hints.length > 0 && length > this.#options.maxLength) break;
      hints.push(hint);
      this.#waiting.delete(key);
    }
    return JSON.stringify({ from: this.#id, hints } satisfies Message);
  }
}

function keyOf(hint: Hint): string {
  if (hint.kind === "wake") return hint.kind;
  if (hint.kind === "deleted") return `deleted ${hint.id}`;
  return hint.kind === "cancel" ? `cancel ${hint.action} ${hint.run_id}` : `${hint.kind} ${hint.run_id}`;
}

function messageOf(text: string): Message | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { from, hints } = (value ?? {}) as { from?: unknown; hints?: unknown };
  if (typeof from !== "string" || !Array.isArray(hints)) return undefined;
  return { from, hints: hints.filter(isHint) };
}

function isHint(value: unknown): value is Hint {
  const { kind, id, run_id, action } = (value ?? {}) as Partial<Record<"kind" | "id" | "run_id" | "action", unknown>>;
  if (kind === "wake") return true;
  if (kind === "deleted") return typeof id === "string";
  if (typeof run_id !== "string") return false;
  return (
    kind === "log" ||
    kind === "who_reads" ||
    kind === "read" ||
    (kind === "cancel" && (action === "interrupt" || action === "rollback"))
  );
}
