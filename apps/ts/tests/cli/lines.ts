import type { Readable } from "node:stream";

/** Lines of a stream, one at a time; waits for the next. "" at the end of the stream. */
export function lines(stream: Readable): {
  next(): Promise<string>;
  until(pattern: RegExp): Promise<string>;
  seen(): string;
} {
  const ready: string[] = [];
  let rest = "";
  let text = "";
  let ended = false;
  let wake: () => void = () => undefined;
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    text += chunk;
    const parts = (rest + chunk).split("\n");
    rest = parts.pop() ?? "";
    ready.push(...parts);
    wake();
  });
  stream.on("close", () => {
    ended = true;
    if (rest !== "") ready.push(rest);
    wake();
  });
  const next = async (): Promise<string> => {
    while (ready.length === 0 && !ended) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return ready.shift() ?? "";
  };
  return {
    next,
    async until(pattern) {
      for (;;) {
        const line = await next();
        if (pattern.test(line)) return line;
        if (ended && ready.length === 0) throw new Error(`ended without ${pattern}:\n${text}`);
      }
    },
    seen: () => text,
  };
}
