/** Pages that this machine serves to itself, on whatever port: what a developer has open. */
const LOCAL = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/;

/** Words of `allow_origins` that stand for several origins. */
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  studio: ["https://smith.langchain.com", "https://eu.smith.langchain.com"],
};
const LOCALHOST = "localhost";

export interface OriginOptions {
  /** Origins, and the words `localhost` and `studio`; "*" is every origin. */
  allow_origins?: readonly string[] | undefined;
  /** Matched against the whole origin. */
  allow_origin_regex?: string | undefined;
}

/** Which web pages may use the server. Its own may always. */
export class OriginRule {
  /** Every page of the web may. */
  readonly any: boolean;
  readonly #origins: ReadonlySet<string>;
  readonly #local: boolean;
  readonly #pattern: RegExp | undefined;

  constructor({ allow_origins, allow_origin_regex: pattern }: OriginOptions) {
    const listed = allow_origins ?? (pattern === undefined ? [LOCALHOST] : []);
    this.any = listed.includes("*");
    this.#local = listed.includes(LOCALHOST);
    this.#origins = new Set(listed.flatMap((entry) => KEYWORDS[entry] ?? [entry.toLowerCase().replace(/\/$/, "")]));
    this.#pattern = pattern === undefined ? undefined : new RegExp(`^(?:${pattern})$`);
  }

  /** @param origin As the browser names it; "null" for a page without one. */
  allows(origin: string, headers: Headers): boolean {
    if (this.any || this.#origins.has(origin) || this.#pattern?.test(origin) === true) return true;
    return (this.#local && LOCAL.test(origin)) || isOwn(origin, headers);
  }

  /** A request without an Origin that a page of another site has made: an image, a script, a frame. */
  refusesSilent(method: string, headers: Headers): boolean {
    if (this.any || headers.get("sec-fetch-site") !== "cross-site") return false;
    // A followed link leaves the foreign page, which cannot read the answer.
    const followed = headers.get("sec-fetch-mode") === "navigate" && headers.get("sec-fetch-dest") === "document";
    return !(followed && (method === "GET" || method === "HEAD"));
  }
}

/** A proxy may have ended TLS, so schemes are not compared; where it also rewrites Host, the browser's word counts. */
function isOwn(origin: string, headers: Headers): boolean {
  if (headers.get("sec-fetch-site") === "same-origin") return true;
  const host = headers.get("host");
  return host !== null && withoutDefaultPort(origin.replace(/^https?:\/\//, "")) === withoutDefaultPort(host);
}

function withoutDefaultPort(host: string): string {
  return host.toLowerCase().replace(/:(?:80|443)$/, "");
}
