import { writeSync } from "node:fs";

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes all of the text before it returns, so that nothing is lost when the process ends right after. A full pipe is
 * waited for; a pipe that nobody reads any more is no reason to stop serving.
 */
export function writeAll(fd: number, text: string): void {
  let rest: Uint8Array = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EPIPE") return;
      if (code !== "EAGAIN") throw error;
      Atomics.wait(sleepCell, 0, 0, 2);
    }
  }
}
