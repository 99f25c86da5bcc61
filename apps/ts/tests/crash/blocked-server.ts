// A server whose runs never end: everything up to the finishing transaction happens, the transaction does not. For tests
// that kill a process exactly between a run's last checkpoint and its end. Arguments: data directory, langgraph.json.
import { createLogger } from "@fractal-agents/infra/logger";
import { loadConfig } from "#config";
import type { Storage } from "#core/storage";
import { FeedHub } from "#core/streams/hub";
import { serve } from "#platform/serve";
import { createEngine } from "../../src/compose/engine.ts";
import { loadGraphs } from "../../src/compose/graphs.ts";
import { openStorage } from "../../src/compose/storage.ts";

const [dataDir = "", configPath = ""] = process.argv.slice(2);
const say = (line: string) => process.stdout.write(`${line}\n`);

const logger = createLogger({ level: "warn", json: true, write: say });
const config = loadConfig({ env: { ...process.env, FRACTAL_DATA_DIR: dataDir }, cwd: dataDir, configPath });
const storage = await openStorage(config, { logger });
const endless: Storage = {
  ...storage,
  runs: {
    ...storage.runs,
    finish: () => {
      say("  FINISH reached");
      return new Promise(() => undefined);
    },
  },
};
const graphs = await loadGraphs(config, { version: "0.0.0", logger });
const stopping = new AbortController().signal;
const parts = { config, version: "0.0.0", logger, storage: endless, graphs, hub: new FeedHub(), stopping };
const engine = createEngine(parts);
await engine.begin();
await engine.assistants.installSystemAssistants();
const http = await serve({ fetch: engine.app.fetch, hostname: "127.0.0.1", port: 0 });
say(`  URL  ${http.url}`);
