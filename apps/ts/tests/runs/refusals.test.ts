import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { RunServer } from "./server.ts";

/** A refused run leaves nothing behind, whatever the form of the call. */
describe("runs that are refused", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  async function refusals(body: object) {
    const thread = await server.thread();
    const replies = [];
    for (const path of ["", "/stream", "/wait"]) {
      replies.push(await server.post(`${thread.runs}${path}`, body), await server.post(`/runs${path}`, body));
    }
    replies.push(await server.post("/runs/batch", [{ assistant_id: "counter", input: { steps: 1 } }, body]));
    expect((await server.get(thread.runs)).body).toEqual([]);
    expect((await server.get(`/threads/${thread.id}`)).body.status).toBe("idle");
    expect(await server.storage.runs.counts()).toMatchObject({ pending: 0, running: 0 });
    const statuses = new Set(replies.map(({ status }) => status));
    expect(statuses.size).toBe(1);
    return { status: replies[0]?.status, detail: replies[0]?.body.detail as string };
  }

  it("404 with the text that clients know, for an assistant that is not there", async () => {
    for (const id of ["nobody", "01a20d0e-b2f3-7579-8b7f-990c9311868e"]) {
      const { status, detail } = await refusals({ assistant_id: id });
      expect(status).toBe(404);
      expect(detail).toStartWith(`No assistant found for "${id}".`);
    }
  });

  it("503 for a graph that could not be loaded, with its error", async () => {
    const { status, detail } = await refusals({ assistant_id: "broken" });
    expect([status, detail]).toEqual([503, expect.stringContaining("there-is-no-such-file")]);
  });

  it("501 for a webhook, which is not sent", async () => {
    const { status, detail } = await refusals({ assistant_id: "counter", webhook: "https://example.com/hook" });
    expect([status, detail]).toEqual([501, expect.stringContaining("webhook")]);
  });

  it("422 for an unknown stream mode, alone or among others, naming its place and what is allowed", async () => {
    const places = { "": "nonsense", "[1]": ["values", "nonsense"], "[0]": [null] };
    for (const [place, stream_mode] of Object.entries(places)) {
      const { status, detail } = await refusals({ assistant_id: "counter", stream_mode });
      expect([status, detail]).toEqual([422, expect.stringContaining(`stream_mode${place}: `)]);
      expect(detail).toContain('"values"|"updates"');
    }
    const { detail } = await refusals({ assistant_id: "counter", stream_mode: 7 });
    expect(detail).toContain("expected array, received number");
  });

  it("422 for values of the wrong kind, naming the field", async () => {
    const wrong: Record<string, unknown> = {
      config: [],
      context: "x",
      metadata: 5,
      command: "x",
      stream_subgraphs: "yes",
      interrupt_before: 3,
      on_disconnect: "explode",
      after_seconds: -1,
      durability: "never",
      webhook: "",
      checkpoint: 5,
      strict_resume: 1,
      feedback_keys: "x",
    };
    for (const [field, value] of Object.entries(wrong)) {
      const reply = await server.post("/runs/wait", { assistant_id: "counter", [field]: value });
      expect([field, reply.status, reply.body.detail]).toEqual([field, 422, expect.stringContaining(field)]);
    }
    const body = { assistant_id: "counter", config: { recursion_limit: 0 } };
    expect((await server.post("/runs/wait", body)).status).toBe(422);
  });

  it("400 for a resume without a thread, null included", async () => {
    for (const resume of ["yes", null]) {
      for (const path of ["/runs", "/runs/stream", "/runs/wait"]) {
        const reply = await server.post(path, { assistant_id: "interrupting", command: { resume } });
        expect([reply.status, reply.body.detail]).toEqual([400, "You must provide a thread_id when resuming."]);
      }
    }
  });

  it("404 for a thread that is not there, unless the run may make it", async () => {
    const id = crypto.randomUUID();
    for (const path of ["", "/stream", "/wait"]) {
      const reply = await server.post(`/threads/${id}/runs${path}`, { assistant_id: "counter", input: { steps: 1 } });
      expect([reply.status, reply.body.detail]).toEqual([404, "Thread or assistant not found."]);
    }
    const body = { assistant_id: "counter", input: { steps: 1 }, if_not_exists: "create" };
    expect((await server.post(`/threads/${id}/runs/wait`, body)).body.count).toBe(1);
    expect((await server.get(`/threads/${id}`)).body.metadata.graph_id).toBe("counter");
  });

  it("422 for a thread or run id that is no UUID, and upper case is accepted", async () => {
    expect((await server.post("/threads/nope/runs", { assistant_id: "counter" })).status).toBe(422);
    expect((await server.get("/threads/nope/runs")).status).toBe(422);
    const thread = await server.thread();
    expect((await server.get(`${thread.runs}/nope`)).status).toBe(422);
    const upper = `/threads/${thread.id.toUpperCase()}/runs`;
    const run = (await server.post(`${upper}/wait`, { assistant_id: "counter", input: { steps: 1 } })).body;
    expect(run.count).toBe(1);
    const [listed] = (await server.get(upper)).body;
    expect((await server.get(`${upper}/${listed.run_id.toUpperCase()}`)).body.run_id).toBe(listed.run_id);
  });

  it("accept no run of a batch when one of them is refused, and all in order otherwise", async () => {
    const good = (n: number) => ({ assistant_id: "counter", input: { steps: n } });
    const bad = [
      { assistant_id: "nobody" },
      { assistant_id: "counter", webhook: "https://example.com" },
      { assistant_id: "counter", command: { resume: 1 } },
      { assistant_id: "counter", config: { configurable: { a: 1 } }, context: { a: 2 } },
      { assistant_id: "broken" },
    ];
    const before = (await server.storage.runs.counts()).pending;
    for (const last of bad) {
      const reply = await server.post("/runs/batch", [good(1), last]);
      expect(reply.status).toBeGreaterThanOrEqual(400);
      expect(await server.storage.runs.counts()).toMatchObject({ pending: before, running: 0 });
    }
    expect((await server.post("/runs/batch", [])).status).toBe(422);
    const { body, status } = await server.post("/runs/batch", [good(1), good(2), good(3)]);
    expect(status).toBe(200);
    expect(body.map((run: { kwargs: { input: unknown } }) => run.kwargs.input)).toEqual(
      [1, 2, 3].map((steps) => ({ steps })),
    );
  });
});
