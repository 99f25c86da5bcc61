import { describe, expect, it } from "bun:test";
import { fileURLToPath } from "node:url";

const probe = fileURLToPath(new URL("../../tests/egress-probe.ts", import.meta.url));
const ENGINES = [
  { name: "Bun", command: process.execPath as string | undefined },
  { name: "Node (FRACTAL_TEST_NODE)", command: process.env.FRACTAL_TEST_NODE },
];

for (const { name, command } of ENGINES) {
  describe.skipIf(command === undefined)(`A guarded call on ${name}`, () => {
    it("streams, is cut off by its signal, follows no redirect, and is checked anew when a name changes its address", async () => {
      const child = Bun.spawn([command ?? "", probe], { stderr: "inherit" });
      const result = JSON.parse(await new Response(child.stdout).text());
      expect(await child.exited).toBe(0);
      expect(name.toLowerCase()).toStartWith(result.engine);
      expect(result.streamed).toEqual([200, "text/event-stream", ["data: one\n\n", "data: two\n\n"]]);
      expect(result.cookies).toEqual([418, "tea", ["a=1", "b=2"], "short"]);
      expect(result.empty).toEqual([204, ""]);
      expect(result.cut).toBe("Error: enough");
      expect(result.aborted).toBe("Error: before");
      expect(result.redirect).toContain("EgressError");
      expect(result.redirect).toContain("answers with a redirect, which the server does not follow");
      expect(result.manual).toBe(307);
      expect(result.refused).toContain("EgressError: http://127.0.0.1");
      expect(result.rebound).toContain("EgressError: https://evil.example leads to an address that is not public");
      const first = { method: "POST", url: "/stream?q=1", host: "model.example:PORT", type: "application/json" };
      expect(result.received[0]).toEqual({ ...first, body: '{"a":"ü"}' });
      expect(result.received.map(({ url }: { url: string }) => url)).toEqual([
        ...["/stream?q=1", "/cookies", "/empty", "/endless", "/moved", "/moved"],
      ]);
    });
  });
}
