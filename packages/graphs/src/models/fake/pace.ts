import { setImmediate, setTimeout } from "node:timers/promises";

/** Pieces sent between two looks at the event loop: without one, a long stream would never hear its abort signal. */
const PIECES_PER_TURN = 16;

/** Waits `delayMs` before a piece, or lets the event loop run now and then. Throws the signal's own reason when aborted. */
export async function pace(index: number, delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  if (delayMs > 0) {
    try {
      await setTimeout(delayMs, undefined, signal ? { signal } : {});
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  } else if (index % PIECES_PER_TURN === PIECES_PER_TURN - 1) {
    await setImmediate();
  }
  signal?.throwIfAborted();
}
