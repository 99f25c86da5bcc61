import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStorage } from "#storage/sqlite/open";
import type { Engine } from "./harness.ts";

/** The embedded storage in a directory of its own per test. */
export const sqlite: Engine = {
  name: "sqlite",
  async open() {
    const dataDir = mkdtempSync(join(tmpdir(), "fractal-"));
    let ahead = 0;
    const storage = await openSqliteStorage({ dataDir, clock: () => Date.now() + ahead });
    return {
      storage,
      advance: async (ms) => {
        ahead += ms;
      },
      close: async () => {
        await storage[Symbol.asyncDispose]();
        rmSync(dataDir, { recursive: true });
      },
    };
  },
};
