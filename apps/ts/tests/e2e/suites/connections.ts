import { describe, expect, it } from "bun:test";
import { CuttingProxy } from "../cutting-proxy.ts";
import { all, names, type SdkSession } from "../sdk-session.ts";
import { eventually } from "../spawn-server.ts";

export function connectionsSuite(session: SdkSession): void {
  describe("connections", () => {
    const steps = 30;
    const long = {
      input: { steps, sleep_ms: 15 },
      config: { recursion_limit: 50 },
      streamMode: "updates",
      streamResumable: true,
    };
    const allSteps = Array.from({ length: steps }, (_, i) => `step-${i + 1}`);

    it("go on by themselves when one breaks in the middle: no event is lost, none comes twice", async () => {
      await using proxy = await CuttingProxy.start(session.server.url, 1_800);
      const cut = new session.line.Client({ apiUrl: proxy.url });
      const parts = await all(cut.runs.stream(await session.thread(), "counter", long as never) as never);
      expect(proxy.cuts).toBe(1);
      expect(parts.filter(({ event }) => event === "updates").map(({ data }) => data.step.log[0])).toEqual(allSteps);
    });

    it("of a joined run go on the same way", async () => {
      const id = await session.thread();
      const run = await session.create(id, "counter", long);
      await using proxy = await CuttingProxy.start(session.server.url, 1_800);
      const cut = new session.line.Client({ apiUrl: proxy.url });
      const parts = await all(cut.runs.joinStream(id, run.run_id, { lastEventId: "-1" } as never));
      expect(proxy.cuts).toBe(1);
      expect(parts.filter(({ event }) => event === "updates").map(({ data }) => data.step.log[0])).toEqual(allSteps);
    });

    it("can be made again by hand from the last event seen, also after the run is over", async () => {
      const { runs } = session.client;
      const id = await session.thread();
      const open = session.open(id, "counter", { ...long, onDisconnect: "continue" });
      const seen: string[] = [];
      let lastEventId: string | undefined;
      let runId = "";
      for await (const { event, data, id: eventId } of open) {
        if (event === "metadata") runId = data.run_id;
        else seen.push(data.step.log[0]);
        lastEventId = eventId;
        if (seen.length === 5) break;
      }
      await runs.join(id, runId);
      for await (const { event, data } of runs.joinStream(id, runId, { lastEventId } as never)) {
        if (event === ("updates" as never))
          seen.push((data as never as { step: { log: string[] } }).step.log[0] as string);
      }
      expect(seen).toEqual(allSteps);
    });

    it("find the whole stream of a run that is over, from its beginning", async () => {
      const { runs } = session.client;
      const id = await session.thread();
      const run = await session.create(id, "counter", {
        input: { steps: 3 },
        streamMode: ["updates"],
        streamResumable: true,
      });
      await runs.join(id, run.run_id);
      const parts = await all(runs.joinStream(id, run.run_id, { lastEventId: "-1" } as never));
      expect(names(parts)).toEqual(["metadata", "updates", "updates", "updates", "end"]);
      await expect(all(runs.joinStream(id, crypto.randomUUID()))).rejects.toThrow("404");
    });

    /** Streams a run of a minute, and leaves once it is under way. */
    const leave = async (onDisconnect: string) => {
      const id = await session.thread();
      const leaving = new AbortController();
      const open = session.open(id, "slow", {
        input: { ms: 60_000 },
        streamMode: ["updates"],
        onDisconnect,
        signal: leaving.signal,
      });
      let runId = "";
      try {
        for await (const { event, data } of open) {
          if (event === "metadata") runId = data.run_id;
          if (event === "updates") leaving.abort();
        }
      } catch (error) {
        // That a client leaves is an error to itself only.
        if (!leaving.signal.aborted) throw error;
      }
      return { id, runId };
    };

    it("take their run with them when told to: the node sees its signal", async () => {
      const { id, runId } = await leave("cancel");
      // `slow` waits a minute unless it is told.
      await session.reaches(id, runId, "interrupted");
      expect((await session.client.threads.getState(id)).values).toEqual({ ms: 60_000, started: true } as never);
    });

    it("leave their run alone otherwise", async () => {
      const { id, runId } = await leave("continue");
      const still = await session.create(id, "counter", { input: { steps: 1 } });
      expect(await session.status(id, still.run_id)).toBe("pending");
      expect(await session.status(id, runId)).toBe("running");
      await session.client.runs.cancel(id, runId, true);
      expect(await session.client.runs.join(id, still.run_id)).toBeDefined();
    });

    it("of a waiting client take the run with them too", async () => {
      const id = await session.thread();
      const leaving = new AbortController();
      const waiting = session.wait(id, "slow", {
        input: { ms: 60_000 },
        onDisconnect: "cancel",
        signal: leaving.signal,
      });
      const [run] = await eventually(
        () => session.client.runs.list(id),
        ([first]) => first?.status === "running",
      );
      leaving.abort();
      await expect(waiting).rejects.toThrow();
      await session.reaches(id, run?.run_id as string, "interrupted");
    });
  });
}
