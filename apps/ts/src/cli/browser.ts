import { spawn } from "node:child_process";

export interface BrowserContext {
  env: Readonly<Record<string, string | undefined>>;
  platform: NodeJS.Platform;
  interactive: boolean;
}

/** The command that opens a page here, or undefined where nobody would see it. */
export function browserCommand({ env, platform, interactive }: BrowserContext): string[] | undefined {
  if (!interactive || env.CI || env.SSH_CONNECTION || env.BROWSER === "none") return undefined;
  if (platform === "darwin") return ["open"];
  if (platform === "win32") return ["cmd", "/c", "start", ""];
  return env.DISPLAY || env.WAYLAND_DISPLAY ? ["xdg-open"] : undefined;
}

/** Opens the page; a machine without a browser is no error, the address stands in the banner. */
export function openBrowser(url: string, command: readonly string[]): void {
  const [program = "", ...args] = command;
  const child = spawn(program, [...args, url], { stdio: "ignore", detached: true });
  child.once("error", () => undefined);
  child.unref();
}
