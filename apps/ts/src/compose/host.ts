import type { Terminal } from "#cli/terminal";
import type { SignalSource } from "./stop-requests.ts";
import type { Supervision } from "./supervision.ts";

/** What the server needs of the process it runs in; index.ts is the one that knows the process. */
export interface Host {
  version: string;
  env: Readonly<Record<string, string | undefined>>;
  platform: NodeJS.Platform;
  cwd: string;
  terminal: Terminal;
  source: SignalSource;
  supervision: Supervision;
  /** To the supervisor, if there is one; with the first word of the first worker it starts the others. */
  tell(message: { type: "ready"; port: number; workers: number } | { type: "lease"; id: string }): void;
  /** Puts variables of env files where user code looks for them. */
  adopt(variables: Readonly<Record<string, string>>): void;
  exit(code: number): never;
}
