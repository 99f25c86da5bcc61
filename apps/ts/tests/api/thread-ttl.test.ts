import { expect, it } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ANONYMOUS } from "#core/identity/scope";
import { ThreadService } from "#core/threads/service";
import { openSqliteStorage } from "#storage/sqlite/open";

it("gives threads that ask for no time to live the one of the configuration", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "fractal-thread-ttl-"));
  try {
    await using storage = await openSqliteStorage({ dataDir });
    const idle = { bulkUpdate: async () => undefined, cancelInflight: async () => undefined };
    const nothing = { thread_id: undefined, metadata: undefined, if_exists: "raise" as const, supersteps: undefined };
    const create = async (
      defaultTtl: { strategy: "delete" | "keep_latest"; ttl_minutes: number } | undefined,
      ttl?: { strategy: "delete"; ttl_minutes: number },
    ) => {
      const threads = new ThreadService({ threads: storage.threads, state: idle, runs: idle, defaultTtl });
      const { thread_id } = await threads.create(ANONYMOUS, { ...nothing, ttl });
      return (await threads.get(ANONYMOUS, thread_id, { ttl: true })).ttl;
    };
    const everyHour = { strategy: "keep_latest", ttl_minutes: 60 } as const;
    expect(await create(everyHour)).toMatchObject({ strategy: "keep_latest", ttl_minutes: 60 });
    expect(await create(everyHour, { strategy: "delete", ttl_minutes: 5 })).toMatchObject({
      strategy: "delete",
      ttl_minutes: 5,
    });
    expect(await create(undefined)).toBeUndefined();
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});
