import type { lines } from "../cli/lines.ts";

/** The banner's line for a person, or the log line for a machine, whichever this server writes. */
const SERVED = /^\s+URL\s+(http\S+)|"url":"(http[^"]+)".*"server is ready"/;

/** The address that a server says when it is up; rejects with all it wrote when it does not come up. */
export async function servedUrl(out: ReturnType<typeof lines>, err: ReturnType<typeof lines>): Promise<string> {
  const line = await out.until(SERVED).catch((error: Error) => {
    throw new Error(`${error.message}\n${err.seen()}`);
  });
  const [, shown, logged] = SERVED.exec(line) ?? [];
  return shown ?? logged ?? "";
}
