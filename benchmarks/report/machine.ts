import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";
import { join } from "node:path";
import type { Round } from "../rounds.ts";
import { ROOT } from "../servers/catalogue.ts";
import { peerNode } from "../servers/peer.ts";

export type Machine = {
  cpu: string;
  cores: number;
  memoryGb: number;
  system: string;
  versions: Record<string, string>;
  /** The PostgreSQL server and its settings. */
  database: string | undefined;
};

function versionOf(command: string): string {
  const result = spawnSync(command, ["--version"], { encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim().replace(/^v/, "") : "missing";
}

function packageVersion(name: string): string {
  return (JSON.parse(readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8")) as { version: string })
    .version;
}

/** Where and with what the figures were made. */
export function describeMachine(rounds: readonly Round[]): Machine {
  const all = cpus();
  const database = rounds.find((round) => round.database !== undefined)?.database;
  return {
    cpu: all[0]?.model ?? "unknown",
    cores: all.length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()} ${process.arch}`,
    versions: {
      Bun: process.versions.bun ?? "missing",
      "Node (starts our command)": versionOf("node"),
      "Node (runs the rival)": versionOf(peerNode()),
      "@langchain/langgraph": packageVersion("@langchain/langgraph"),
      "@langchain/core": packageVersion("@langchain/core"),
      "@langchain/langgraph-api": "1.5.1",
      "@langchain/langgraph-checkpoint-postgres": "1.0.5",
    },
    database,
  };
}
