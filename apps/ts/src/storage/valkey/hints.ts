import type { Logger } from "@fractal-agents/infra/logger";
import type { Hint, Signals } from "#core/signals";
import { HintBox } from "../common/hint-box.ts";
import type { Link } from "./link.ts";

/** At most one PUBLISH in this time. */
const COALESCE_MS = 25;
/** Characters of a message; so many hints do not come together in that time. */
const LONGEST_MESSAGE = 1024 * 1024;

/** Hints by publish and subscribe: every process hears every hint, nothing is consumed by one that is dead. */
export class ValkeySignals implements Signals {
  readonly #links: { commands: Link; subscriber: Link };
  readonly #box: HintBox;
  #reached = 0;

  constructor(channel: string, links: { commands: Link; subscriber: Link }, logger: Logger) {
    const { commands, subscriber } = links;
    this.#links = links;
    this.#box = new HintBox({
      coalesceMs: COALESCE_MS,
      maxLength: LONGEST_MESSAGE,
      send: (text) => {
        if (!commands.up) return;
        commands.redis.publish(channel, text).then(
          (reached) => {
            this.#reached = reached;
          },
          (error: Error) => commands.failed(error),
        );
      },
      failed: (error, hint) => logger.error({ err: error, kind: hint.kind }, "a hint could not be followed"),
    });
    subscriber.redis.on("message", (_channel: string, text: string) => {
      if (!this.#box.hear(text)) logger.debug({ channel }, "a message on the hint channel is not one of ours");
    });
  }

  get connected(): boolean {
    return this.#links.subscriber.up;
  }

  /** Whether hints leave at present. */
  get sending(): boolean {
    return this.#links.commands.up;
  }

  /** How many processes the last message has reached, this one included. */
  get reached(): number {
    return this.#reached;
  }

  publish(hint: Hint): void {
    // What cannot leave now is not kept: by then it would be stale.
    if (this.sending) this.#box.put(hint);
  }

  subscribe(listener: (hint: Hint) => void): () => void {
    return this.#box.listen(listener);
  }

  /** Sends what waits, and listens no more. */
  close(): void {
    this.#box.flush();
    this.#box.close();
  }
}
