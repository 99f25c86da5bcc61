import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { servedUrl } from "../servers/served-url.ts";
import { lines } from "./lines.ts";

export const shim = fileURLToPath(new URL("../../bin/fractal.mjs", import.meta.url));

export interface Fractal {
  child: ChildProcess;
  exit: Promise<[code: number | null, signal: string | null]>;
  out: ReturnType<typeof lines>;
  err: ReturnType<typeof lines>;
  /** Where it serves; rejects with the output when the server does not come up. */
  url(): Promise<string>;
}

const running = new Set<ChildProcess>();

/** Ends what a test left; the servers end with their supervisors. */
export async function stopAll(): Promise<void> {
  const children = [...running];
  running.clear();
  await Promise.all(
    children.map(async (child) => {
      const gone = child.exitCode !== null || child.signalCode !== null ? undefined : once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    }),
  );
}

/** Runs the command as a user does: `node bin/fractal.mjs ...`, which takes our Bun unless `env` says otherwise. */
export function fractal(
  args: string[],
  given: { cwd: string; env?: Record<string, string>; command?: string[] },
): Fractal {
  const [program = "node", ...before] = given.command ?? ["node", shim];
  const child = spawn(program, [...before, ...args], {
    cwd: given.cwd,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...given.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  const exit = once(child, "exit") as Fractal["exit"];
  void exit.then(() => running.delete(child));
  const out = lines(child.stdout);
  const err = lines(child.stderr);
  return {
    child,
    exit,
    out,
    err,
    url: () => servedUrl(out, err),
  };
}
