/** Without a write for this long, the check makes one. */
const IDLE_MS = 30_000;

/** Whether writes work, known from those that were made anyway. Asked by /ready; costs a write nothing but a clock. */
export class WriteHealth {
  /** performance.now() of the last write that worked; undefined after one that did not. */
  #workedAt: number | undefined = performance.now();

  worked(): void {
    this.#workedAt = performance.now();
  }

  failed(): void {
    this.#workedAt = undefined;
  }

  /** Nobody knows: the last write failed, or was long ago. */
  get isUnknown(): boolean {
    return this.#workedAt === undefined || performance.now() - this.#workedAt > IDLE_MS;
  }

  /** The last write failed. */
  get hasFailed(): boolean {
    return this.#workedAt === undefined;
  }
}
