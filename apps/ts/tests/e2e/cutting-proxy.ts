import type { Socket } from "node:net";
import { TcpProxy } from "../servers/tcp-proxy.ts";

/** A TCP proxy that breaks off connections after so many bytes of their answer, as a bad network does. */
export class CuttingProxy implements AsyncDisposable {
  #proxy: TcpProxy | undefined;
  cuts = 0;

  /** Breaks off one connection. */
  static start(target: string, afterBytes: number): Promise<CuttingProxy> {
    return CuttingProxy.each(
      () => target,
      (cuts) => (cuts === 0 ? afterBytes : undefined),
    );
  }

  /** @param limit Bytes of the next connection; undefined: all of them. */
  static async each(target: () => string, limit: (cuts: number) => number | undefined): Promise<CuttingProxy> {
    const cutting = new CuttingProxy();
    cutting.#proxy = await TcpProxy.start(target, (near, far) => cutting.#pass(near, far, () => limit(cutting.cuts)));
    return cutting;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#proxy?.port}`;
  }

  #pass(near: Socket, far: Socket, limit: () => number | undefined): void {
    let bytes = 0;
    let most: number | undefined;
    near.pipe(far);
    far.on("data", (chunk: Buffer) => {
      most ??= limit();
      const rest = (most ?? Number.POSITIVE_INFINITY) - bytes;
      bytes += chunk.length;
      if (chunk.length < rest) {
        near.write(chunk);
        return;
      }
      this.cuts++;
      // In the middle of whatever it was; what came before arrives.
      near.write(chunk.subarray(0, rest), () => near.resetAndDestroy());
      far.destroy();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy?.[Symbol.asyncDispose]();
  }
}
