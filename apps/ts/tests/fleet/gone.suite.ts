import { describe, expect, it } from "bun:test";
import { arrival, open } from "../runs/fixtures/gate.ts";
import { runPath, until } from "../runs/server.ts";
import { SseReader } from "../runs/sse-client.ts";
import { altered, type Changes, type FleetEngine } from "./engines.ts";
import { Fleet } from "./fleet.ts";

/** What readers get of a run that the database does not have any more, and that nobody took away. */
export function goneSuite(engine: FleetEngine): void {
  describe(`a run that the database has lost (${engine.name})`, () => {
    it.each([
      ["has noticed at once", true],
      ["finds out when it misses the run", false],
    ])("is over for nobody, whether the process %s or not", async (_, noticed) => {
      let current = 0;
      let number = 0;
      const gone = new Set<string>();
      const listeners: (() => void)[] = [];
      const notice = () => {
        if (number === current) return;
        number = current;
        for (const listener of listeners) listener();
      };
      const losing: Changes = ({ runs, events }) => ({
        timeline: {
          get number() {
            return number;
          },
          confirm: async () => {
            notice();
            return number;
          },
          onChange: (listener) => void listeners.push(listener),
        },
        runs: { ...runs, find: async (scope, id) => (gone.has(id) ? undefined : runs.find(scope, id)) },
        events: {
          ...events,
          news: async (asked, limit) => {
            const told = await events.news(asked, limit);
            return told.map((each) => (gone.has(each.run_id) ? { ...each, over: true, rows: [], more: false } : each));
          },
        },
      });
      await using fleet = await Fleet.start(altered(engine, losing), [{ concurrency: 0 }, { concurrency: 2 }]);
      const [a, b] = [fleet.server(0), fleet.server(1)];
      const thread = await a.thread();
      const name = crypto.randomUUID();
      const body = { assistant_id: "gate", input: { name }, stream_mode: ["values"] };
      const stream = new SseReader(await a.open("POST", `${thread.runs}/stream`, { body }));
      await arrival(name);
      const [run] = (await a.get(thread.runs)).body;
      const waited = a
        .open("GET", `${runPath(run)}/join`)
        .then((answer) => answer.text())
        .catch(() => "broken off");
      await until(() => a.hub.find(run.run_id)?.waiting === 1);

      current = 1;
      gone.add(run.run_id);
      if (noticed) notice();
      expect(await waited).toBe("broken off");
      await stream.untilBroken();
      expect(stream.text).not.toContain("event: end");
      expect((await a.get(runPath(run))).status).toBe(404);
      open(name);
      await until(() => b.worker.running === 0);
    });
  });
}
