import type { Logger } from "@fractal-agents/infra/logger";
import { EXIT } from "./exit-codes.ts";
import type { SignalSource, StopReason } from "./stop-requests.ts";

export interface FaultDeps {
  source: SignalSource;
  logger: Logger;
  /** The run in whose code we are, if that is known. */
  currentRun(): { run_id: string } | undefined;
  stop(reason: StopReason): void;
  /** Ends the process, as a failure: for an exit that nobody had asked for, whatever its code meant. */
  exit(code: number): void;
  /** Whether the process is meant to end. */
  ending(): boolean;
}

/**
 * A rejection that nobody awaits is logged with its run and counted, never fatal: cancelling user code makes some.
 * An exception that nobody catches leaves unknown state behind and ends the process. So does code that ends it by itself:
 * that is never a clean end, or nobody would start the server again.
 */
export function watchFaults({ source, logger, currentRun, ...process }: FaultDeps): {
  rejections(): number;
  close(): void;
} {
  let rejections = 0;
  const onRejection = (reason: unknown) => {
    rejections += 1;
    logger.error(
      { err: asError(reason), ...currentRun(), unhandled_rejections: rejections },
      "a promise was rejected and nobody awaited it",
    );
  };
  const onException = (error: unknown) => {
    logger.fatal({ err: asError(error), ...currentRun() }, "an exception was not caught: stopping");
    process.stop({ kind: "fatal", error, run_id: currentRun()?.run_id });
  };
  const onExit = (code: number) => {
    if (process.ending()) return;
    logger.fatal({ code, ...currentRun() }, "process.exit called by graph code");
    process.exit(EXIT.failure);
  };
  source.on("exit", onExit);
  source.on("unhandledRejection", onRejection);
  source.on("uncaughtException", onException);
  return {
    rejections: () => rejections,
    close() {
      source.off("exit", onExit);
      source.off("unhandledRejection", onRejection);
      source.off("uncaughtException", onException);
    },
  };
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(`not an Error: ${String(reason)}`);
}
