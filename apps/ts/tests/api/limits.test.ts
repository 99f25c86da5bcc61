import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { Api } from "./api.ts";

const THREAD = "11111111-1111-4111-8111-111111111111";
const ids = (count: number) => Array.from({ length: count }, () => crypto.randomUUID());
const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`key${i}`, i]));
const LONG = "x".repeat(60_000);
const HUGE = "x".repeat(70_000);
const deep = JSON.parse(`${'{"a":'.repeat(17)}1${"}".repeat(17)}`);

/** Wherever rows are compared with what a client sends. */
const FILTERS: [path: string, field: string][] = [
  ["/threads/search", "metadata"],
  ["/threads/search", "values"],
  ["/threads/count", "metadata"],
  ["/threads/count", "values"],
  ["/assistants/search", "metadata"],
  ["/assistants/count", "metadata"],
  ["/assistants/chatbot/versions", "metadata"],
  [`/threads/${THREAD}/history`, "metadata"],
  ["/store/items/search", "filter"],
];

const TOO_MUCH: [path: string, body: object, detail: string][] = [
  ["/threads/search", { limit: 1001 }, "limit: "],
  ["/threads/search", { offset: 10_000_001 }, "offset: "],
  ["/threads/search", { ids: ids(1001) }, "ids: "],
  ["/threads/search", { select: Array(101).fill("status") }, "select: "],
  ["/threads/search", { extract: { a: `values.${LONG}` } }, "extract.a: "],
  ["/threads/prune", { thread_ids: ids(1001) }, "thread_ids: "],
  ["/assistants/search", { name: LONG }, "name: "],
  ["/assistants/count", { name: LONG }, "name: "],
  ["/assistants/search", { name: `ü${LONG}` }, "name: "],
  ["/assistants/search", { graph_id: LONG }, "graph_id: "],
  ["/assistants/search", { limit: 1001 }, "limit: "],
  ["/assistants/search", { offset: 10_000_001 }, "offset: "],
  ["/assistants/search", { select: Array(101).fill("name") }, "select: "],
  ["/assistants/chatbot/versions", { limit: 1001 }, "limit: "],
  [`/threads/${THREAD}/history`, { limit: 1001 }, "limit: "],
  ["/store/items/search", { limit: 1001 }, "limit: "],
  ["/store/items/search", { offset: 10_000_001 }, "offset: "],
  ["/store/items/search", { query: HUGE }, "query: "],
  ["/store/namespaces", { limit: 1001 }, "limit: "],
  ["/store/namespaces", { offset: 10_000_001 }, "offset: "],
  ["/store/namespaces", { prefix: [HUGE] }, "prefix: "],
  ["/runs/cancel", { thread_id: THREAD, run_ids: ids(1001) }, "run_ids: "],
  ["/runs/batch", Array(101).fill({ assistant_id: "chatbot" }), "body: "],
];

describe("Limits", () => {
  let api: Api;
  beforeAll(async () => {
    api = await Api.start();
  });
  afterAll(() => api[Symbol.asyncDispose]());

  for (const [path, field] of FILTERS) {
    it(`refuses a ${field} with too many keys, too much text or too deep a nesting at ${path}`, async () => {
      for (const [filter, problem] of [
        [keys(8_000), "has more than 100 keys and list items"],
        [{ any: Array(101).fill(1) }, "has more than 100 keys and list items"],
        [{ any: HUGE }, "has more than 65536 characters of text"],
        [{ [HUGE]: 1 }, "has more than 65536 characters of text"],
        [deep, "is nested deeper than 16 levels"],
      ] as const) {
        const { status, body } = await api.post(path, { [field]: filter });
        expect([status, body.detail]).toEqual([422, `${field}: ${problem}`]);
      }
    });

    it(`answers for a ${field} that is as large as is allowed at ${path}`, async () => {
      for (const filter of [{ ...keys(99), long: LONG }, { a: { $gt: LONG } }, { a: { [LONG]: 1 } }]) {
        expect([200, 404]).toContain((await api.post(path, { [field]: filter })).status);
      }
    });
  }

  for (const [path, body, detail] of TOO_MUCH) {
    it(`answers 422 about ${detail.slice(0, -2)} at ${path}`, async () => {
      const reply = await api.post(path, body);
      expect(reply.status).toBe(422);
      expect(reply.body.detail).toStartWith(detail);
    });
  }

  it("bounds the lists in a query string", async () => {
    const at = `/threads/${THREAD}/runs`;
    for (const query of ["limit=1001", "offset=10000001", `select=${Array(101).fill("status").join(",")}`]) {
      const { status, body } = await api.get(`${at}?${query}`);
      expect([status, body.detail]).toEqual([422, expect.stringContaining(query.split("=", 1)[0] as string)]);
    }
    expect((await api.get(`/threads/${THREAD}/history?limit=1001`)).status).toBe(422);
  });
});
