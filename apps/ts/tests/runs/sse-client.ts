export interface SseEvent {
  event: string;
  // biome-ignore lint/suspicious/noExplicitAny: payloads are judged by the tests
  data: any;
  id?: string;
}

/** The events of a whole SSE text; comments are left out, an unfinished frame at the end too. */
export function eventsOf(text: string): SseEvent[] {
  return framesOf(text).flatMap((frame) => eventOf(frame) ?? []);
}

export function framesOf(text: string): string[] {
  // A stream that has nothing to say yet opens with an empty line.
  const frames = text.replace(/^\n/, "").split("\n\n");
  frames.pop();
  return frames;
}

function eventOf(frame: string): SseEvent | undefined {
  const fields = new Map<string, string>();
  for (const line of frame.split("\n")) {
    if (line.startsWith(":")) continue;
    const colon = line.indexOf(": ");
    if (colon < 0 || fields.has(line.slice(0, colon))) throw new Error(`not an event: ${JSON.stringify(frame)}`);
    fields.set(line.slice(0, colon), line.slice(colon + 2));
  }
  if (fields.size === 0) return undefined;
  const id = fields.get("id");
  return {
    event: fields.get("event") as string,
    data: JSON.parse(fields.get("data") as string),
    ...(id !== undefined && { id }),
  };
}

/** Reads a stream as it comes: what has arrived, and a wait for more. */
export class SseReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  text = "";
  done = false;

  constructor(response: Response) {
    if (response.body === null) throw new Error("the answer has no body");
    this.#reader = response.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  }

  get events(): SseEvent[] {
    return eventsOf(this.text);
  }

  /** Reads until the text so far satisfies the condition, or the stream ends. */
  async readUntil(met: (reader: SseReader) => boolean): Promise<SseEvent[]> {
    while (!this.done && !met(this)) {
      const step = await this.#reader.read();
      if (step.done) this.done = true;
      else this.text += this.#decoder.decode(step.value, { stream: true });
    }
    return this.events;
  }

  rest(): Promise<SseEvent[]> {
    return this.readUntil(() => false);
  }

  /** Reads until the server breaks the body off, which tells its client to come back. Throws when the body ends well. */
  async untilBroken(): Promise<SseEvent[]> {
    if (!(await this.breaks())) throw new Error(`it was not broken off: ${this.text.slice(-200)}`);
    return this.events;
  }

  /** Reads to the end, or until the body is broken off; whether it was. */
  async breaks(): Promise<boolean> {
    try {
      await this.rest();
      return false;
    } catch {
      this.done = true;
      return true;
    }
  }

  async leave(): Promise<void> {
    this.done = true;
    await this.#reader.cancel();
  }
}

/** Names of events, each run of equal ones once. */
export function shapeOf(events: readonly SseEvent[]): string[] {
  return events.map((event) => event.event).filter((name, i, all) => name !== all[i - 1]);
}

export function dataOf(events: readonly SseEvent[], name: string) {
  return events.filter((event) => event.event === name).map((event) => event.data);
}
