import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { Api } from "./api.ts";

interface Operation {
  requestBody?: { required?: boolean };
}

describe("A body that an operation requires", () => {
  let api: Api;
  beforeAll(async () => {
    api = await Api.start();
  });
  afterAll(() => api[Symbol.asyncDispose]());

  it("is 422 where it is missing, empty or no JSON, on every operation, and nothing is written", async () => {
    const { body: thread } = await api.post("/threads", { metadata: { graph_id: "agent" } });
    const { body: assistant } = await api.post("/assistants", { graph_id: "agent" });
    const { body: document } = await api.get("/openapi.json");
    const operations = Object.entries(document.paths as Record<string, Record<string, Operation>>).flatMap(
      ([path, methods]) =>
        Object.entries(methods).map(([method, { requestBody }]) => ({
          path,
          method: method.toUpperCase(),
          requestBody,
        })),
    );
    const withBody = operations.filter(({ requestBody }) => requestBody !== undefined);
    // Its version may stand in the query instead.
    const optional = withBody.filter(({ requestBody }) => requestBody?.required !== true).map(({ path }) => path);
    expect(optional).toEqual(["/assistants/{assistant_id}/latest"]);
    expect(withBody.length).toBeGreaterThan(22);
    const rows = async () => [
      (await api.post("/threads/count", {})).body,
      (await api.post("/assistants/count", {})).body,
      (await api.get(`/threads/${thread.thread_id}/history`)).body,
    ];
    const before = await rows();
    for (const { path, method, requestBody } of withBody) {
      if (requestBody?.required !== true) continue;
      const url = path
        .replace("{thread_id}", thread.thread_id)
        .replace("{assistant_id}", assistant.assistant_id)
        .replace("{run_id}", crypto.randomUUID());
      for (const body of [undefined, "", "nope", '{"a":']) {
        const answer = await api.call(method, url, body === undefined ? {} : { body });
        expect([method, path, body, answer.status]).toEqual([method, path, body, 422]);
        expect(answer.body.detail).toStartWith("Invalid JSON in request body");
      }
    }
    expect(await rows()).toEqual(before);
  });

  it("is not required where there is none to send", async () => {
    const { body: thread } = await api.post("/threads", {});
    expect((await api.call("POST", `/threads/${thread.thread_id}/copy`)).status).toBe(200);
    expect((await api.call("POST", "/assistants/agent/latest?version=1")).status).toBe(403);
  });
});
