import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { RunServer } from "../runs/server.ts";

const BIG = "9007199254740993";
const NEIGHBOUR = "9007199254740992";
/** Texts of numbers, and how they come back where they are only stored. */
const NUMBERS: [string, string][] = [
  [BIG, BIG],
  [`-${BIG}`, `-${BIG}`],
  ["12345678901234567890.50", "12345678901234567890.5"],
  ["0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"],
  ["1e-400", `0.${"0".repeat(399)}1`],
  ["1.0", "1"],
  ["1E2", "100"],
  ["-0", "0"],
  ["0.30000000000000004", "0.30000000000000004"],
];
const LIST = `[${NUMBERS.map(([sent]) => sent).join(",")}]`;
const KEPT = `[${NUMBERS.map(([, kept]) => kept).join(",")}]`;

describe("what a client sends", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const send = (method: string, path: string, body: string) => server.call(method, path, { body });
  const detail = async (path: string, body: string | Uint8Array<ArrayBuffer>, method = "POST") => {
    const answer = await fetch(server.url + path, { method, body });
    const { detail } = (await answer.json()) as { detail: string };
    return [answer.status, detail];
  };

  it("keeps every digit of a number in the metadata of a thread, through merges, searches and copies", async () => {
    const made = await send("POST", "/threads", `{"metadata":{"n":${LIST},"big":${BIG}}}`);
    expect(made.text).toContain(`"n":${KEPT}`);
    const path = `/threads/${made.body.thread_id}`;
    const patched = await send("PATCH", path, '{"metadata":{"more":12345678901234567891}}');
    for (const { text } of [patched, await server.get(path), await send("POST", `${path}/copy`, "{}")]) {
      expect(text).toContain(`"n":${KEPT}`);
      expect(text).toContain(`"big":${BIG}`);
      expect(text).toContain('"more":12345678901234567891');
    }
    const found = await send("POST", "/threads/search", `{"metadata":{"big":${BIG}},"extract":{"b":"metadata.big"}}`);
    expect(found.body).toHaveLength(2);
    expect(found.text).toContain(`"b":${BIG}`);
    expect((await send("POST", "/threads/count", `{"metadata":{"big":${NEIGHBOUR}}}`)).body).toBe(0);
    expect((await send("POST", "/threads/count", `{"metadata":{"n":[${BIG}]}}`)).body).toBe(2);
    const inside = { metadata: { big: { rawJSON: BIG } } };
    expect((await server.post("/threads/count", inside)).body).toBe(0);
  });

  it("keeps every digit of a number in the metadata of an assistant and of its runs", async () => {
    const body = `{"graph_id":"counter","metadata":{"big":${BIG}}}`;
    const { body: assistant, text } = await send("POST", "/assistants", body);
    expect(text).toContain(`"big":${BIG}`);
    const path = `/assistants/${assistant.assistant_id}`;
    await send("PATCH", path, '{"metadata":{"other":1}}');
    for (const shown of [await server.get(path), await server.post(`${path}/versions`)]) {
      expect(shown.text).toContain(`"big":${BIG}`);
    }
    expect((await send("POST", "/assistants/search", `{"metadata":{"big":${BIG}}}`)).body).toHaveLength(1);
    expect((await send("POST", "/assistants/search", `{"metadata":{"big":${NEIGHBOUR}}}`)).body).toHaveLength(0);
    const thread = await server.thread();
    const run = `{"assistant_id":"${assistant.assistant_id}","input":{"steps":1},"metadata":{"mine":${BIG}}}`;
    const waited = await send("POST", `${thread.runs}/wait`, run);
    expect(waited.body.count).toBe(1);
    const { text: runs } = await server.get(thread.runs);
    expect(runs).toContain(`"big":${BIG}`);
    expect(runs).toContain(`"mine":${BIG}`);
    const batch = await send("POST", "/runs/batch", `[{"assistant_id":"counter","metadata":{"n":${LIST}}}]`);
    expect(batch.text).toContain(`"n":${KEPT}`);
  });

  it("keeps every digit of a number in the store, and finds it by exactly that number", async () => {
    const item = (key: string, value: string) =>
      send("PUT", "/store/items", `{"namespace":["numbers"],"key":"${key}","value":{"n":${value}}}`);
    await item("list", LIST);
    await item("big", BIG);
    await item("neighbour", NEIGHBOUR);
    expect((await server.get("/store/items?namespace=numbers&key=list")).text).toContain(`"n":${KEPT}`);
    const keys = async (filter: string) => {
      const body = `{"namespace_prefix":["numbers"],"filter":{"n":${filter}}}`;
      const found = await send("POST", "/store/items/search", body);
      return found.body.items.map(({ key }: { key: string }) => key).sort();
    };
    expect(await keys(BIG)).toEqual(["big"]);
    expect(await keys(NEIGHBOUR)).toEqual(["neighbour"]);
    expect(await keys(`{"$eq":${BIG}}`)).toEqual(["big"]);
    expect(await keys(`{"$ne":${BIG}}`)).toEqual(["list", "neighbour"]);
    expect(await keys(`{"$gt":${NEIGHBOUR}}`)).toEqual(["big"]);
    expect(await keys(`{"$gte":${BIG}}`)).toEqual(["big"]);
    expect(await keys(`{"$lt":${BIG}}`)).toEqual(["neighbour"]);
    expect(await keys(`{"$lte":"${BIG}.0"}`)).toEqual(["big", "neighbour"]);
    expect(await keys('{"rawJSON":"9007199254740993"}')).toEqual([]);
  });

  it("is read as the nearest double by graphs: input and state", async () => {
    const thread = await server.thread();
    const run = `{"assistant_id":"counter","input":{"steps":1,"log":[${BIG}]}}`;
    expect((await send("POST", `${thread.runs}/wait`, run)).text).toContain(NEIGHBOUR);
    const { text } = await send("POST", `/threads/${thread.id}/state`, `{"values":{"log":[${BIG}]}}`);
    expect(JSON.parse(text)).toHaveProperty("checkpoint_id");
    expect((await server.get(`/threads/${thread.id}/state`)).text).not.toContain(BIG);
  });

  it("is refused with its path when a number is beyond the largest double: it became null", async () => {
    for (const number of ["1e400", "-1e400", `1${"0".repeat(400)}`]) {
      const problem = "the number is too large; the largest is about 1.8e308";
      expect(await detail("/threads", `{"metadata":{"a":[0,{"b":${number}}]}}`)).toEqual([
        422,
        `metadata.a[1].b: ${problem}`,
      ]);
      expect(await detail("/runs", `{"assistant_id":"counter","input":{"x":${number}}}`)).toEqual([
        422,
        `input.x: ${problem}`,
      ]);
      const item = `{"namespace":["a"],"key":"k","value":{"n":${number}}}`;
      expect(await detail("/store/items", item, "PUT")).toEqual([422, `value.n: ${problem}`]);
    }
    const long = `{"metadata":{"a":0.${"1".repeat(1_001)}}}`;
    expect(await detail("/threads", long)).toEqual([422, "metadata.a: the number has more than 1000 digits"]);
    expect(await detail("/threads", '{"metadata":{"a":1e-99999}}')).toEqual([
      422,
      "metadata.a: the number has more than 1000 digits",
    ]);
    expect(await detail("/threads", '{"metadata":{"a":{"b":"\\ud800"}}}')).toEqual([
      422,
      "metadata.a.b: a string contains half of a surrogate pair",
    ]);
  });

  it("is refused when it is not UTF-8: it became U+FFFD", async () => {
    const encoder = new TextEncoder();
    const head = encoder.encode('{"metadata":{"é":"');
    const bad = [[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf0, 0x9f, 0x98], [0xf5, 0x80, 0x80, 0x80]];
    for (const bytes of bad) {
      const body = new Uint8Array([...head, ...bytes, ...encoder.encode('"}}')]);
      const answer = [422, `body: byte ${head.length} is not part of valid UTF-8`];
      expect(await detail("/threads", body)).toEqual(answer);
      const stream = new Response(body).body as ReadableStream;
      const chunked = await fetch(`${server.url}/threads`, { method: "POST", body: stream });
      expect([chunked.status, ((await chunked.json()) as { detail: string }).detail]).toEqual(answer);
    }
    for (const path of ["/store/items?key=%ff", "/store/items?key=a&namespace=%C3%28", "/assistants/%E0%A4"]) {
      const answer = await server.get(path);
      expect([path, answer.status]).toEqual([path, 422]);
      expect(answer.body.detail).toContain("not valid UTF-8");
    }
  });

  it("is taken with a byte order mark, with U+FFFD itself, and with a % that escapes nothing", async () => {
    const marked = await send("POST", "/threads", '\ufeff{"metadata":{"a":"\ufffd"}}');
    expect([marked.status, marked.body.metadata]).toEqual([200, { a: "\ufffd" }]);
    expect((await server.get("/store/items?key=100%&namespace=a")).status).toBe(200);
    expect((await server.get(`/store/items?key=${encodeURIComponent("ключ 🔑")}&namespace=a`)).status).toBe(200);
  });
});
