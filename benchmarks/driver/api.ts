import { WrongAnswer } from "./answers.ts";

/** Nothing here takes longer than this unless the server hangs; milliseconds. */
const TIMEOUT = 60_000;

/** One request to a server under test. Compression is refused, so that all servers send the same kind of body. */
export function call(base: string, path: string, body?: unknown): Promise<Response> {
  return fetch(base + path, {
    method: body === undefined ? "GET" : "POST",
    headers: { "content-type": "application/json", "accept-encoding": "identity" },
    signal: AbortSignal.timeout(TIMEOUT),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

/** The text of an answer that must be a 200. */
export async function text(response: Response): Promise<string> {
  const body = await response.text();
  if (response.status !== 200)
    throw new WrongAnswer(`${response.url} answered ${response.status}: ${body.slice(0, 300)}`);
  return body;
}

export async function postJson(base: string, path: string, body: unknown): Promise<unknown> {
  return JSON.parse(await text(await call(base, path, body)));
}

export async function createThread(base: string): Promise<string> {
  const thread = (await postJson(base, "/threads", {})) as { thread_id?: unknown };
  if (typeof thread.thread_id !== "string")
    throw new WrongAnswer(`POST /threads gave no thread_id: ${JSON.stringify(thread)}`);
  return thread.thread_id;
}
