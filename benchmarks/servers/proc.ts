import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** Kernel ticks per second in which /proc counts CPU time. */
const TICKS = Number(spawnSync("getconf", ["CLK_TCK"], { encoding: "utf8" }).stdout?.trim() || 100);

export type ProcessRow = { pid: number; command: string; cpuMs: number; rssMb: number };

type Stat = { pid: number; parent: number; session: number; command: string; ticks: number };

/** One line of /proc/PID/stat; undefined when the process is gone or there is no /proc. */
function readStat(pid: number): Stat | undefined {
  let line: string;
  try {
    line = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
  const nameEnd = line.lastIndexOf(")");
  const fields = line.slice(nameEnd + 2).split(" ");
  const field = (n: number): number => Number(fields[n - 3]);
  // 14 to 17: user and system time, own and of children that ended.
  const ticks = field(14) + field(15) + field(16) + field(17);
  return { pid, parent: field(4), session: field(6), command: line.slice(line.indexOf("(") + 1, nameEnd), ticks };
}

function rssMb(pid: number): number {
  try {
    const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return Number(match?.[1] ?? 0) / 1024;
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return 0;
    throw error;
  }
}

export const PROC_AVAILABLE: boolean = process.platform === "linux";

function treeStats(rootPid: number): Stat[] {
  if (!PROC_AVAILABLE) return [];
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readStat(Number(name)))
    .filter((stat) => stat !== undefined);
  const inside = new Set([rootPid]);
  for (let grew = true; grew; ) {
    grew = false;
    for (const { pid, parent, session } of all) {
      if (inside.has(pid) || (session !== rootPid && !inside.has(parent))) continue;
      inside.add(pid);
      grew = true;
    }
  }
  return all.filter(({ pid }) => inside.has(pid));
}

/** CPU time used so far by the process and all it started, supervisor included; NaN without /proc. */
export function treeCpuMs(rootPid: number): number {
  const tree = treeStats(rootPid);
  return tree.length === 0 ? Number.NaN : (tree.reduce((sum, { ticks }) => sum + ticks, 0) / TICKS) * 1000;
}

/** The processes of the tree with their memory (resident, shared pages counted in each). */
export function treeRows(rootPid: number): ProcessRow[] {
  return treeStats(rootPid).map(({ pid, command, ticks }) => ({
    pid,
    command,
    cpuMs: (ticks / TICKS) * 1000,
    rssMb: rssMb(pid),
  }));
}
