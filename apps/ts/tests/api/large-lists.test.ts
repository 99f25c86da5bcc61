import { expect, it } from "bun:test";
import { RunServer } from "../runs/server.ts";

it("refuses a page of threads that is larger than an answer may be, and always answers one", async () => {
  await using server = await RunServer.start({ FRACTAL_ANSWER_MAX_MB: "3" });
  for (let n = 0; n < 4; n++) {
    const { id } = await server.thread({ metadata: { graph_id: "counter", large: true } });
    const values = { count: 1, log: ["x".repeat(n === 3 ? 4_000_000 : 1_000_000)] };
    expect((await server.post(`/threads/${id}/state`, { values, as_node: "step" })).status).toBe(200);
  }
  const search = (query: object) => server.post("/threads/search", { metadata: { large: true }, ...query });
  const refused = await search({});
  expect([refused.status, refused.body.detail]).toEqual([
    422,
    "The answer would have about 7 MB, the most is 3 MB: ask for less with limit",
  ]);
  const one = await search({ limit: 1 });
  expect([one.status, one.body[0].values.log[0].length]).toEqual([200, 4_000_000]);
  const rest = await search({ offset: 1 });
  expect([rest.status, rest.body.length, rest.body[0].values.log[0].length]).toEqual([200, 3, 1_000_000]);
});

it("refuses a page of store items that is larger than an answer may be, and always answers one", async () => {
  await using server = await RunServer.start({ FRACTAL_ANSWER_MAX_MB: "3" });
  for (let n = 0; n < 4; n++) {
    const value = { large: true, text: "x".repeat(n === 3 ? 4_000_000 : 900_000) };
    const body = { namespace: ["large"], key: `${n}`, value };
    expect((await server.call("PUT", "/store/items", { body })).status).toBe(204);
  }
  const search = (query: object) => server.post("/store/items/search", { namespace_prefix: ["large"], ...query });
  for (const filter of [undefined, { large: true }]) {
    const refused = await search({ filter });
    expect([refused.status, refused.body.detail]).toEqual([
      422,
      "The answer would have about 7 MB, the most is 3 MB: ask for less with limit",
    ]);
    const one = await search({ filter, limit: 1 });
    expect([one.status, one.body.items[0].value.text.length]).toEqual([200, 4_000_000]);
    const rest = await search({ filter, offset: 1 });
    expect([rest.status, rest.body.items.length]).toEqual([200, 3]);
  }
});

it("refuses pages of runs, assistants and versions that are larger than an answer may be, and always answers one", async () => {
  await using server = await RunServer.start({ FRACTAL_ANSWER_MAX_MB: "3" });
  const large = { text: "x".repeat(1_700_000) };
  const { id, runs } = await server.thread();
  const made: string[] = [];
  for (let n = 0; n < 2; n++) {
    const run = await server.post(runs, { assistant_id: "counter", input: { steps: 0 }, metadata: large });
    expect(run.status).toBe(200);
    await server.get(`/threads/${id}/runs/${run.body.run_id}/join`);
    made.push(
      (await server.post("/assistants", { graph_id: "counter", metadata: { ...large, mine: true } })).body.assistant_id,
    );
  }
  const [assistant] = made;
  const patched = await server.call("PATCH", `/assistants/${assistant}`, { body: { name: "renamed" } });
  expect(patched.status).toBe(200);
  const lists = [
    (query: { limit: number }) => server.get(`${runs}?limit=${query.limit}`),
    (query: { limit: number }) => server.post("/assistants/search", { ...query, metadata: { mine: true } }),
    (query: { limit: number }) => server.post("/assistants/search", { ...query, graph_id: "counter" }),
    (query: { limit: number }) => server.post(`/assistants/${assistant}/versions`, query),
  ];
  for (const list of lists) {
    const refused = await list({ limit: 10 });
    expect([refused.status, refused.body.detail]).toEqual([
      422,
      "The answer would have about 4 MB, the most is 3 MB: ask for less with limit",
    ]);
    const one = await list({ limit: 1 });
    expect([one.status, one.body.length]).toEqual([200, 1]);
  }
});
