import { expect, it } from "bun:test";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Api } from "./api.ts";

/** Sends the beginning of a request, waits until it has arrived, and goes away. */
async function breakOff(url: string, head: string, begun: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  await new Promise<void>((sent) => socket.write(`${head}\r\nHost: x\r\n${begun}`, () => sent()));
  await delay(100);
  socket.resetAndDestroy();
}

it("logs no error for a client that breaks off its upload, with a declared length or in chunks", async () => {
  await using api = await Api.start();
  const bodies = ['Content-Length: 1000\r\n\r\n{"a":', 'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n'];
  for (const line of ["POST /threads", "PUT /store/items", "POST /runs/wait", "POST /runs/stream"]) {
    for (const body of bodies) await breakOff(api.url, `${line} HTTP/1.1`, body);
  }
  // Whoever comes later finds all of it over.
  for (let i = 0; i < 3; i++) expect((await fetch(`${api.url}/live`)).status).toBe(200);
  const broken = new ReadableStream({
    pull() {
      throw new DOMException("The connection was closed.", "AbortError");
    },
  });
  const request = new Request(`${api.url}/threads`, { method: "POST", body: broken, duplex: "half" } as RequestInit);
  expect((await api.app.fetch(request)).status).toBe(400);
  expect(api.log).toEqual([]);
});
