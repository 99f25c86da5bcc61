export type SseEvent = { event: string; data: string; id: string | undefined };

/**
 * A reader of text/event-stream, by the WHATWG rules that matter here: LF, CRLF or CR end a line, a blank line ends an event, lines
 * that begin with a colon are comments, several data lines are joined by LF. Feed it text as it arrives; it may be cut anywhere.
 */
export class SseReader {
  #rest = "";
  #event = "";
  #data: string[] = [];
  #id: string | undefined;

  /** The events that this text completes, in order. */
  feed(text: string): SseEvent[] {
    const events: SseEvent[] = [];
    const buffer = this.#rest + text;
    let start = 0;
    for (;;) {
      const end = lineEnd(buffer, start);
      if (end === undefined) break;
      const event = this.#line(buffer.slice(start, end.at));
      if (event !== undefined) events.push(event);
      start = end.next;
    }
    this.#rest = buffer.slice(start);
    return events;
  }

  /** What the stream's end leaves unread: a whole stream leaves nothing. */
  get unfinished(): boolean {
    return this.#rest !== "" || this.#data.length > 0 || this.#event !== "";
  }

  #line(line: string): SseEvent | undefined {
    if (line === "") {
      const event = { event: this.#event === "" ? "message" : this.#event, data: this.#data.join("\n"), id: this.#id };
      const empty = this.#data.length === 0;
      this.#event = "";
      this.#data = [];
      return empty ? undefined : event;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return undefined;
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(line.charCodeAt(colon + 1) === 32 ? colon + 2 : colon + 1);
    if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id") this.#id = value;
    return undefined;
  }
}

/** A CR at the very end is no line end yet: an LF may follow in the next piece. */
function lineEnd(text: string, from: number): { at: number; next: number } | undefined {
  const lf = text.indexOf("\n", from);
  const cr = text.indexOf("\r", from);
  if (cr !== -1 && (lf === -1 || cr < lf)) {
    if (cr + 1 === text.length) return undefined;
    return { at: cr, next: text.charCodeAt(cr + 1) === 10 ? cr + 2 : cr + 1 };
  }
  return lf === -1 ? undefined : { at: lf, next: lf + 1 };
}
