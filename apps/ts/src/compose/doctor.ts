import type { Terminal } from "#cli/terminal";
import { type Config, ConfigError } from "#config";
import type { Finding } from "#core/diagnosis";
import { type CommandHost, readCommandConfig } from "./commands.ts";
import { EXIT } from "./exit-codes.ts";
import type { Host } from "./host.ts";

export interface DoctorRequest {
  configPath: string | undefined;
  /** One JSON object instead of lines for a person. */
  json: boolean;
}

export type DoctorHost = CommandHost & Pick<Host, "adopt" | "version">;

/** Says what of the surroundings will not do, and what to do about it. Changes nothing. @returns 0, or 1 with a failure. */
export async function doctorCommand(request: DoctorRequest, host: DoctorHost): Promise<number> {
  const { terminal } = host;
  const findings = await examine(request, host);
  const failed = findings.filter(({ status }) => status === "fail").length;
  const warned = findings.filter(({ status }) => status === "warn").length;
  if (request.json) terminal.out(`${JSON.stringify({ ok: failed === 0, checks: findings })}\n`);
  else {
    terminal.out(findings.map((finding) => line(finding, terminal)).join(""));
    terminal.out(`\n${failed} failed, ${warned} to look at, ${findings.length - failed - warned} good\n`);
  }
  return failed === 0 ? EXIT.ok : EXIT.failure;
}

async function examine(request: DoctorRequest, host: DoctorHost): Promise<Finding[]> {
  let config: Config;
  try {
    config = readCommandConfig(request.configPath, host);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((text) => ({ id: "configuration", status: "fail", text }));
  }
  const { database, redis, workers } = config;
  const findings: Finding[] = config.warnings.map((text) => ({ id: "configuration", status: "warn", text }));
  if (findings.length === 0) findings.push({ id: "configuration", status: "ok", text: "The configuration is valid" });
  host.adopt(config.fileEnvironment);
  const { examineProject } = await import("./doctor-project.ts");
  findings.push(...(await examineProject(config, host)));
  if (database === undefined) {
    const { examineSqlite } = await import("#storage/sqlite/doctor");
    findings.push(...(await examineSqlite(config.dataDir)));
  } else {
    const { examinePostgres } = await import("#storage/postgres/doctor");
    findings.push(...(await examinePostgres({ ...database, workers })));
  }
  if (redis !== undefined) {
    const { examineValkey } = await import("#storage/valkey/doctor");
    findings.push(...(await examineValkey(redis.url, redis.where)));
  }
  return findings;
}

function line({ status, text, advice }: Finding, { ansi }: Terminal): string {
  const mark = { ok: ansi.green("ok  "), warn: ansi.yellow("warn"), fail: ansi.red("fail") }[status];
  return `${mark}  ${text}\n${advice === undefined ? "" : `      ${advice}\n`}`;
}
