import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { RunServer, until } from "../runs/server.ts";
import { RawClient } from "../streams/raw-client.ts";

const MB = 1024 * 1024;

describe("A history of large values", () => {
  let server: RunServer;
  let threadId: string;
  const history = () => `/threads/${threadId}/history`;
  beforeAll(async () => {
    server = await RunServer.start({ FRACTAL_ANSWER_MAX_MB: "30" });
    const { id } = await server.thread({ metadata: { graph_id: "counter" } });
    threadId = id;
    for (let n = 0; n < 9; n++) {
      const values = { count: 1, log: [`${n}`.padEnd(MB, "x")] };
      const written = await server.post(`/threads/${threadId}/state`, { values, as_node: "step" });
      expect(written.status).toBe(200);
      // The log grows with each write: the ninth state has 9 MB, all together 45 MB.
    }
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it("refuses a list that is larger than an answer may be, and says what to do", async () => {
    for (const reply of [await server.get(`${history()}?limit=1000`), await server.post(history(), { limit: 1000 })]) {
      expect(reply.status).toBe(422);
      expect(reply.body.detail).toMatch(
        /^The answer would have about \d+ MB, the most is 30 MB: ask for less with limit$/,
      );
    }
  });

  it("always answers one state", async () => {
    for (const at of [`${history()}?limit=1`, `/threads/${threadId}/state`]) {
      const { status, text } = await server.get(at);
      expect([status, text.length > 9 * MB]).toEqual([200, true]);
    }
  });

  it("answers exactly the states when they come in pieces, with probes in between", async () => {
    const response = await server.open("GET", `${history()}?limit=1000&before=${await sixth()}`);
    expect(response.status).toBe(200);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const chunks: Uint8Array[] = [];
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      chunks.push(step.value);
      if (chunks.length % 50 === 0) expect((await server.get("/ok")).status).toBe(200);
    }
    const states = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    expect(states.map((state: { values: { log: string[] } }) => state.values.log.length)).toEqual([5, 4, 3, 2, 1]);
    const alone = await server.get(`/threads/${threadId}/state/${states[0].checkpoint.checkpoint_id}`);
    expect(states[0]).toEqual(alone.body);
  });

  it("makes no further piece for a client that has gone", async () => {
    const { pieces } = server.storage.checkpoints;
    let [made, closed] = [0, 0];
    server.storage.checkpoints.pieces = async function* (scope, query) {
      try {
        for await (const piece of pieces(scope, query)) {
          made++;
          yield piece;
        }
      } finally {
        closed++;
      }
    };
    try {
      const path = `${history()}?limit=1000&before=${await sixth()}`;
      await server.get(path);
      const [whole, before] = [made, closed];
      const client = await RawClient.open(server.url, path);
      await client.readUntil("HTTP/1.1 200");
      client.vanish();
      await until(() => closed > before);
      expect(made - whole).toBeLessThan(whole);
    } finally {
      server.storage.checkpoints.pieces = pieces;
    }
  });

  async function sixth(): Promise<string> {
    let at = (await server.get(`${history()}?limit=1`)).body[0];
    for (let n = 0; n < 3; n++) {
      at = (await server.get(`/threads/${threadId}/state/${at.parent_checkpoint.checkpoint_id}`)).body;
    }
    return at.checkpoint.checkpoint_id;
  }
});
