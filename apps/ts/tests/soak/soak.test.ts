import { describe, expect, it } from "bun:test";
import { Instance } from "../chaos/instance.ts";
import { eventually, generator } from "../chaos/scenario.ts";
import { Clients } from "./clients.ts";
import { flat } from "./flat.ts";

describe("soak", () => {
  it("sees memory that grows, and does not take warm-up or noise for growth", () => {
    const warmUp = [100, 150, 180, 190, 195];
    expect(flat([...warmUp, 200, 195, 205, 198, 203, 199]).flat).toBe(true);
    expect(flat([...warmUp, 200, 210, 220, 230, 240, 250]).flat).toBe(false);
    expect(flat(warmUp).flat).toBe(true);
  });

  it("has clients that a healthy server answers without a failure, of every kind", async () => {
    const server = new Instance("server", { env: {} });
    await using _ = server;
    await server.start();
    const clients = new Clients({ url: server.url, random: generator(1), paceMs: 5 });
    await clients.start(6);
    await eventually(
      async () => clients.counts.size,
      (kinds) => kinds === 13,
    );
    await clients.stop();
    expect(clients.failures).toEqual([]);
    expect(server.complaints()).toEqual([]);
  });
});
