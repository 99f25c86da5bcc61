import { expect, it } from "bun:test";
import { TenantClocks } from "./fairness.ts";

it("a tenant within its share is served in the order of arrival", () => {
  let now = 0;
  const clocks = new TenantClocks(() => now);
  for (; now < 1_000; now += 100) expect(clocks.ahead("a", 1)).toBe(0);
});

it("a tenant that creates many runs at once gets ahead, and is waited for by nobody", () => {
  const clocks = new TenantClocks(() => 0);
  expect(Array.from({ length: 4 }, () => clocks.ahead("greedy", 1))).toEqual([0, 100, 200, 300]);
  expect(clocks.ahead("modest", 1)).toBe(0);
});

it("a share is one of the whole fleet: each process gives its part of it", () => {
  const clocks = new TenantClocks(() => 0);
  expect(Array.from({ length: 3 }, () => clocks.ahead("a", 4))).toEqual([0, 400, 800]);
});

it("forgets tenants that are not ahead, and no others", () => {
  let now = 0;
  const clocks = new TenantClocks(() => now);
  for (let i = 0; i < 50; i++) clocks.ahead("greedy", 1);
  for (let i = 0; i < 2_000; i++) {
    now++;
    clocks.ahead(`tenant-${i}`, 1);
  }
  expect(clocks.ahead("greedy", 1)).toBe(50 * 100 - now);
});
