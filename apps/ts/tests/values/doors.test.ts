import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import type { RunServer } from "../runs/server.ts";
import { passThrough, startDoors } from "./doors.ts";
import { hostileValues, seed } from "./hostile.ts";

const COUNT = 500;
const TOGETHER = 50;

describe("values that mean something to the serializer", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await startDoors();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it("come back exactly from every door, and their threads are read, copied, pruned and gone on with", async () => {
    console.log(`hostile values: seed ${seed}, ${COUNT} values`);
    const values = hostileValues(COUNT);
    expect(values.length).toBe(COUNT);
    for (let i = 0; i < COUNT; i += TOGETHER) await passThrough(server, values.slice(i, i + TOGETHER));
  }, 120_000);

  it("come back exactly where one is the whole value of a channel", async () => {
    for (const value of hostileValues(20, seed + 1)) await passThrough(server, value);
  }, 120_000);
});
