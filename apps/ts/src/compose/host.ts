import type { Terminal } from "#cli/terminal";
import type { SignalSource } from "./stop-requests.ts";
import type { Supervision } from "./supervision.ts";

/**
 * How long a stop may take; that the server is at work; that it is ready: then the other workers are started. Behind a front:
 * where the server listens and is to be reached, and that it is about to be replaced.
 */
export type ToSupervisor =
  | { type: "starting"; grace_ms: number }
  | { type: "lease"; id: string }
  | { type: "ready"; port: number; workers: number; internal_port: number | undefined }
  | { type: "listening"; hostname: string; port: number; internal_port: number }
  | { type: "reloading" };

/** What the server needs of the process it runs in; index.ts is the one that knows the process. */
export interface Host {
  version: string;
  env: Readonly<Record<string, string | undefined>>;
  platform: NodeJS.Platform;
  cwd: string;
  terminal: Terminal;
  source: SignalSource;
  supervision: Supervision;
  /** To the supervisor, if there is one. */
  tell(message: ToSupervisor): void;
  /** Puts variables of env files where user code looks for them. */
  adopt(variables: Readonly<Record<string, string>>): void;
  exit(code: number): never;
}
