import { describe, expect, it } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const STANDALONE = join(import.meta.dir, "standalone.ts");

describe("the standalone export", () => {
  it("runs in a bare script, outside the project and without a server", async () => {
    const folder = await mkdtemp(join(tmpdir(), "agent-"));
    try {
      const script = join(folder, "script.ts");
      await writeFile(
        script,
        `import { graph } from ${JSON.stringify(STANDALONE)};
         const agent = await graph({ configurable: {} });
         const { messages } = await agent.invoke({ messages: [{ role: "user", content: "calculate 6*7" }] });
         process.stdout.write(messages.at(-1).text);`,
      );
      const child = Bun.spawn([process.execPath, script], {
        cwd: folder,
        env: { PATH: process.env.PATH },
        stderr: "pipe",
      });
      const [output, errors, code] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
        child.exited,
      ]);
      expect(errors).toBe("");
      expect(output).toContain("6*7 = 42");
      expect(code).toBe(0);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
