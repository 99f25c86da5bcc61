import { AsyncLocalStorage } from "node:async_hooks";
import type { AuthScope } from "#core/identity/scope";
import { currentScope } from "#core/runs/current-run";

/** Where the LangGraph SDK looks for the server that it runs in when a client is made without an address. */
const FETCH = Symbol.for("langgraph_api:fetch");
const ADDRESS = Symbol.for("langgraph_api:url");

export interface InProcessApi {
  /** The server's address; asked for with every request. */
  url(): string;
  /** Undefined scope: the request comes from outside of every run, and is nobody's. */
  fetch(request: Request, scope: AuthScope | undefined): Response | Promise<Response>;
}

/**
 * Lets graph code reach this server by `new Client()`, without a connection and as the run that calls. The request is
 * served outside of that run's async context: langgraph would take a run that starts in it for a subgraph of its caller.
 */
export function offerApi(api: InProcessApi): void {
  const outside = AsyncLocalStorage.snapshot();
  const fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const { target, scope } = input instanceof Request ? { target: input, scope: undefined } : unmarked(input);
    const caller = scope ?? currentScope();
    return outside(async () => api.fetch(new Request(target, init), caller));
  };
  Object.assign(globalThis, { [FETCH]: fetch, [ADDRESS]: new CallerAddress(api.url) });
}

/**
 * The server's address, which says whose request it is whenever it is made into a URL. The SDK sends four requests of a
 * client at a time and begins a fifth in the async context of the one that has ended: of a client that several runs
 * share, that may be another run's.
 */
class CallerAddress extends String {
  readonly #url: () => string;

  constructor(url: () => string) {
    super(url());
    this.#url = url;
  }

  [Symbol.toPrimitive](): string {
    const scope = currentScope();
    if (scope === undefined) return this.#url();
    const mark = encodeURIComponent(JSON.stringify([scope.tenant, scope.owner]));
    return this.#url().replace("://", `://${mark}@`);
  }
}

function unmarked(input: string | URL): { target: URL; scope: AuthScope | undefined } {
  const target = new URL(input);
  if (target.username === "") return { target, scope: undefined };
  const [tenant, owner] = JSON.parse(decodeURIComponent(target.username)) as [string, string];
  target.username = "";
  return { target, scope: { tenant, owner, permissions: [], filters: undefined } };
}
