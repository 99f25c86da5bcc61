import { listenError } from "#platform/serve";
import type { ToSupervisor } from "./host.ts";
import type { SignalSource } from "./stop-requests.ts";

/** Longer than the supervisor needs to answer, however much it has to do. */
const ANSWER_MS = 10_000;

type Answer =
  | { type: "published"; port: number; held: number }
  | { type: "refused"; code: string | undefined; message: string }
  | { type: "held" };

/** The listener that the supervisor keeps open in development while it replaces this process (bin/front.mjs). */
export class Front {
  readonly #source: SignalSource;
  readonly #tell: (message: ToSupervisor) => void;
  /** Requests that waited for this server. */
  held = 0;
  /** Where this process listens for it. */
  internalPort: number | undefined;

  constructor({ source, tell }: { source: SignalSource; tell(message: ToSupervisor): void }) {
    this.#source = source;
    this.#tell = tell;
  }

  /** Has it listen at an address for this server. Rejects with ListenError. @returns The port. */
  async publish(address: { hostname: string; port: number }, internalPort: number): Promise<number> {
    this.internalPort = internalPort;
    const answer = await this.#ask({ type: "listening", ...address, internal_port: internalPort });
    if (answer?.type === "published") {
      this.held = answer.held;
      return answer.port;
    }
    const { code, message } = answer?.type === "refused" ? answer : { code: undefined, message: "no answer" };
    throw listenError(Object.assign(new Error(`The supervisor cannot listen: ${message}`), { code }), address);
  }

  /** Resolves when nothing more comes to this server, and what came is being answered. */
  async hold(): Promise<void> {
    await this.#ask({ type: "reloading" });
  }

  /** Undefined when no answer comes: the supervisor is gone, which ends this process elsewhere. */
  #ask(message: ToSupervisor): Promise<Answer | undefined> {
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
    const timer = setTimeout(resolve, ANSWER_MS, undefined);
    this.#source.on("message", resolve);
    this.#tell(message);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#source.off("message", resolve);
    });
  }
}
