import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import fc from "fast-check";
import { Api } from "./api.ts";

/**
 * Malformed requests, generated from the OpenAPI document for every operation: whatever a client sends, the answer is a
 * 4xx that says what is wrong, or a success where the fault happened to be harmless; never a 500, never a stack trace.
 * A failing run prints the seed and the request.
 */

interface Parameter {
  name: string;
  in: string;
  schema: Record<string, unknown>;
}

interface Operation {
  method: string;
  path: string;
  parameters: Parameter[];
  fields: string[];
  hasBody: boolean;
}

interface BadRequest {
  method: string;
  url: string;
  body: string | undefined;
}

const UUID = "11111111-1111-4111-8111-111111111111";
const ALL_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const DEEP = `${`{"a":`.repeat(10_000)}1${"}".repeat(10_000)}`;
/** Streams that stay open as long as the client does; a test of them would wait for ever when they accept. */
const OPEN_ENDED = /\/stream$|\/wait$|\/join$/;

/** Values of every wrong kind; JSON texts, because some of them are not values at all. */
const oddText = fc.oneof(
  fc.constantFrom(
    "null",
    "true",
    "-1",
    "1e309",
    "0.5",
    '""',
    "[]",
    "{}",
    '"\\u0000"',
    '"\\ud800"',
    '{"__proto__":{"polluted":true}}',
    '{"constructor":{"prototype":{"polluted":true}}}',
    '"not-a-uuid"',
    `"${UUID}"`,
    "[[[[]]]]",
    '[null,1,"x",{}]',
    '{"$gt":"x"}',
    '"values.__proto__"',
  ),
  fc.string({ maxLength: 40, unit: "binary" }).map((text) => JSON.stringify(text)),
  fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify(value)),
);

const oddSegment = fc.oneof(
  fc.constantFrom(
    "x",
    "agent",
    UUID,
    UUID.slice(1),
    "%00",
    "%E0%A4%A",
    "%F0%9F%92%A9",
    "..%2f..%2fetc",
    "a|b",
    "%25",
    "-1",
    "null",
  ),
  fc.string({ minLength: 1, maxLength: 20 }).map(encodeURIComponent),
);

const oddQuery = fc.oneof(
  fc.constantFrom(
    "",
    "yes",
    "maybe",
    "0",
    "-5",
    "99999999999999999999",
    "[",
    '["values"]',
    "a,b,,",
    "%00",
    "%ff",
    "NaN",
    "true&x=1",
  ),
  fc.string({ maxLength: 20 }).map(encodeURIComponent),
);

function bodyOf(operation: Operation): fc.Arbitrary<string | undefined> {
  const odd = fc.oneof(
    fc.constantFrom("", "{", "nul", "[1,", '{"a":1}}', "\u0000", "{'a':1}", DEEP, `[${DEEP}]`),
    oddText,
  );
  if (!operation.hasBody) return fc.option(odd, { nil: undefined });
  const pairs = fc.uniqueArray(fc.tuple(fc.constantFrom(...operation.fields, "stranger"), oddText), {
    selector: ([name]) => name,
    maxLength: 6,
  });
  const object = pairs.map(
    (entries) => `{${entries.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`,
  );
  return fc.oneof(
    { weight: 1, arbitrary: odd },
    { weight: 3, arbitrary: object },
    { weight: 1, arbitrary: object.map((text) => `[${text}]`) },
  );
}

function requestOf(operation: Operation): fc.Arbitrary<BadRequest> {
  const inPath = operation.parameters.filter((parameter) => parameter.in === "path");
  const inQuery = operation.parameters.filter((parameter) => parameter.in === "query");
  return fc
    .record({
      method: fc.oneof(
        { weight: 9, arbitrary: fc.constant(operation.method) },
        { weight: 1, arbitrary: fc.constantFrom(...ALL_METHODS) },
      ),
      segments: fc.tuple(...inPath.map(() => oddSegment)),
      query: fc.tuple(...inQuery.map(() => fc.option(oddQuery, { nil: undefined }))),
      body: bodyOf(operation),
    })
    .map(({ method, segments, query, body }) => {
      let url = operation.path;
      for (const [index, parameter] of inPath.entries())
        url = url.replace(`{${parameter.name}}`, () => segments[index] ?? "");
      const asked = inQuery
        .map((parameter, index) => [parameter.name, query[index]])
        .filter(([, value]) => value !== undefined);
      if (asked.length > 0) url += `?${asked.map(([name, value]) => `${name}=${value}`).join("&")}`;
      return { method, url, body: method === "GET" ? undefined : body };
    });
}

describe("Bad input", () => {
  let api: Api;
  let operations: Operation[];

  beforeAll(async () => {
    api = await Api.start();
    const document = (await api.get("/openapi.json")).body;
    operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      // biome-ignore lint/suspicious/noExplicitAny: an OpenAPI operation
      Object.entries(methods as Record<string, any>).map(([method, operation]) => {
        const given = operation.requestBody?.content["application/json"].schema;
        const schema = given?.$ref ? document.components.schemas[given.$ref.split("/").pop()] : given;
        const parts = [schema, ...(schema?.allOf ?? [])].filter((part) => part !== undefined);
        const resolved = parts.map((part) =>
          part.$ref ? document.components.schemas[part.$ref.split("/").pop()] : part,
        );
        return {
          method: method.toUpperCase(),
          path,
          parameters: operation.parameters ?? [],
          fields: resolved.flatMap((part) => Object.keys(part.properties ?? {})),
          hasBody: schema !== undefined,
        };
      }),
    );
  });
  afterAll(() => api[Symbol.asyncDispose]());

  it("is answered by a 4xx with a detail in every operation, or taken where it does no harm", async () => {
    expect(operations.length).toBeGreaterThan(45);
    for (const operation of operations) {
      await fc.assert(
        fc.asyncProperty(requestOf(operation), async (request) => {
          const controller = new AbortController();
          const response = await fetch(api.url + request.url, {
            method: request.method,
            signal: controller.signal,
            headers: { Accept: "application/json" },
            ...(request.body === undefined ? {} : { body: request.body }),
          });
          if (response.ok && OPEN_ENDED.test(operation.path)) {
            controller.abort();
            return;
          }
          const text = await response.text();
          if (response.status >= 500 && response.status !== 501)
            throw new Error(`${response.status} ${text}\n${api.log.join("")}`);
          if (response.status >= 400 && request.method !== "HEAD") {
            expect(response.headers.get("Content-Type")).toStartWith("application/json");
            const { detail } = JSON.parse(text);
            expect(detail).toBeString();
            expect(detail).not.toMatch(/\n\s+at |node_modules|\/src\//);
          }
        }),
        { numRuns: 40 },
      );
    }
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(api.log.join("")).toBe("");
  }, 60_000);

  it("leaves nothing half-written", async () => {
    const before = (await api.post("/threads/count")).body;
    const refused = [
      { thread_id: "nope" },
      { metadata: "x" },
      { ttl: -1 },
      { supersteps: "x" },
      { metadata: { graph_id: "missing" }, supersteps: [{ updates: [{ values: {}, as_node: "x" }] }] },
    ];
    for (const body of refused) {
      const { status } = await api.post("/threads", body);
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(500);
    }
    expect((await api.post("/threads/count")).body).toBe(before);
  });
});
