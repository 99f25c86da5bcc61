import { expect, it } from "bun:test";
import { passThrough, startDoors } from "./doors.ts";
import { hostileValues } from "./hostile.ts";

it("gives 500 other values back exactly, each the whole value of a channel", async () => {
  const seed = Number(process.env.HOSTILE_SEED ?? Date.now() % 2 ** 31);
  console.log(`hostile values: seed ${seed}`);
  const server = await startDoors();
  await using _ = server;
  const values = hostileValues(500, seed);
  expect(values.length).toBe(500);
  for (const value of values) {
    await passThrough(server, value).catch((error: unknown) => {
      throw new Error(`HOSTILE_SEED=${seed}: ${JSON.stringify(value)}`, { cause: error });
    });
  }
}, 600_000);
