import { expect, it, setDefaultTimeout } from "bun:test";
import { randomKills } from "./random-kills.ts";

setDefaultTimeout(900_000);

const seed = Number(process.env.KILL_SEED ?? Date.now() % 1e9);

it(`keeps every promise through 200 random kills under load (KILL_SEED=${seed})`, async () => {
  const { accepted } = await randomKills(200, seed);
  expect(accepted).toBeGreaterThanOrEqual(200);
});
