import { afterEach, describe, expect, it } from "bun:test";
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Plain JavaScript without types: it runs before anything else is known to work. */
interface Front {
  held: number;
  listen(address: { hostname: string; port: number }): Promise<number>;
  release(port: number): void;
  hold(): void;
  refuse(reason: string): void;
  stop(): void;
}

const { Front } = (await import(new URL("../../bin/front.mjs", import.meta.url).href)) as { Front: new () => Front };

const cleanups: (() => void)[] = [];

afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A server behind a front, and the front's address. */
async function behind(handle: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(handle).listen(0, "127.0.0.1");
  await once(server, "listening");
  const front = new Front();
  const port = await front.listen({ hostname: "127.0.0.1", port: 0 });
  front.release((server.address() as AddressInfo).port);
  cleanups.push(
    () => front.stop(),
    () => server.closeAllConnections(),
    () => server.close(),
  );
  return { front, url: `http://127.0.0.1:${port}` };
}

describe("the listener of dev", () => {
  it("passes method, path, host, repeated headers and the client's address on, and repeated headers back", async () => {
    const { url } = await behind((asked, answer) => {
      const { method, url: path, rawHeaders } = asked;
      answer.writeHead(207, ["Set-Cookie", "a=1", "Set-Cookie", "b=2", "Content-Type", "application/json"]);
      answer.end(JSON.stringify({ method, path, rawHeaders }));
    });
    const sent = request(`${url}/a%20b?c=d`, {
      method: "PATCH",
      headers: {
        Host: "name.localhost:9",
        Origin: "http://evil.example",
        "X-Twice": ["1", "2"],
        "X-Forwarded-For": "9.9.9.9",
      },
    }).end();
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    const { method, path, rawHeaders } = JSON.parse(Buffer.concat(await answer.toArray()).toString());
    expect([answer.statusCode, answer.headers["set-cookie"]]).toEqual([207, ["a=1", "b=2"]]);
    expect([method, path]).toEqual(["PATCH", "/a%20b?c=d"]);
    const valuesOf = (name: string) =>
      (rawHeaders as string[]).filter((_, i) => i % 2 === 1 && rawHeaders[i - 1].toLowerCase() === name);
    expect(valuesOf("host")).toEqual(["name.localhost:9"]);
    expect(valuesOf("origin")).toEqual(["http://evil.example"]);
    expect(valuesOf("x-twice").join(", ")).toBe("1, 2");
    expect(valuesOf("x-forwarded-for")).toEqual(["9.9.9.9, 127.0.0.1"]);
  });

  it("passes each piece of a stream on when it comes, and the server sees its client leave", async () => {
    let left: (() => void) | undefined;
    const gone = new Promise<void>((resolve) => {
      left = resolve;
    });
    let more: (() => void) | undefined;
    const { url } = await behind((_, answer) => {
      answer.writeHead(200, { "content-type": "text/event-stream" });
      answer.write("data: 1\n\n");
      more = () => answer.write("data: 2\n\n");
      answer.once("close", () => left?.());
    });
    const client = new AbortController();
    const answer = await fetch(url, { signal: client.signal });
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
    const next = async () => new TextDecoder().decode((await reader.read()).value);
    expect(await next()).toBe("data: 1\n\n");
    more?.();
    expect(await next()).toBe("data: 2\n\n");
    client.abort();
    await gone;
  });

  it("passes large bodies both ways, whole, on one kept connection after another", async () => {
    const { url } = await behind(async (asked, answer) => {
      answer.writeHead(200, { "content-type": "application/octet-stream" });
      for await (const bytes of asked) if (!answer.write(bytes)) await once(answer, "drain");
      answer.end();
    });
    const body = Buffer.alloc(20 * 1024 * 1024, "0123456789abcdef!");
    for (let i = 0; i < 3; i++) {
      const echoed = Buffer.from(await (await fetch(url, { method: "POST", body })).arrayBuffer());
      expect(echoed.equals(body)).toBe(true);
    }
  });

  it("answers HEAD without a body and keeps its length; what an answer is cut off from is cut off for the client too", async () => {
    const { url } = await behind((asked, answer) => {
      if (asked.method === "HEAD") return void answer.writeHead(200, { "content-length": "1234" }).end();
      answer.writeHead(200, { "content-type": "text/plain" });
      answer.write("half", () => answer.destroy());
    });
    const head = await fetch(url, { method: "HEAD" });
    expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([200, "1234", ""]);
    const cut = fetch(url).then((answer) => answer.text());
    expect(await cut.then(() => "complete").catch(() => "cut off")).toBe("cut off");
  });

  it("holds requests, sends them on when a server is there, and refuses them when none comes", async () => {
    const { front, url } = await behind((_, answer) => void answer.end("here"));
    const port = await fetch(url).then((answer) => answer.text());
    expect(port).toBe("here");
    front.hold();
    const held = fetch(url);
    while (front.held === 0) await new Promise((resolve) => setImmediate(resolve));
    front.refuse("The server cannot be started.");
    const refused = await held;
    expect([refused.status, refused.headers.get("retry-after"), await refused.json()]).toEqual([
      503,
      "1",
      { detail: "The server cannot be started." },
    ]);
  });
});
