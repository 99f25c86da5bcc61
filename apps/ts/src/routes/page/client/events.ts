export interface StreamEvent {
  id?: string;
  event: string;
  data: unknown;
}

/** `field: text` of one line; a comment has an empty field. */
export function splitField(raw: string): [field: string, text: string] {
  const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
  const colon = line.indexOf(":");
  if (colon < 0) return [line, ""];
  return [line.slice(0, colon), line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1)];
}

/**
 * Reads a server-sent event stream: frames end at a blank line, lines at LF or CRLF, comments begin with a colon. A broken
 * connection ends it, and so does silence: the server sends a heartbeat every 5 s.
 */
export async function* readEvents(stream: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  const read = async (): Promise<Uint8Array | undefined> => {
    const silence = setTimeout(() => void reader.cancel().catch(() => undefined), 20_000);
    const piece = await reader.read().catch(() => undefined);
    clearTimeout(silence);
    return piece?.value;
  };
  let rest = "";
  let frame: { id?: string; event: string } = { event: "message" };
  let data: string[] = [];
  for (let piece = await read(); piece !== undefined; piece = await read()) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [field, text] = splitField(line);
      if (field === "event") frame.event = text;
      if (field === "id") frame.id = text;
      if (field === "data") data.push(text);
      if (line.trim() !== "") continue;
      if (data.length > 0) yield { ...frame, data: JSON.parse(data.join("\n")) };
      frame = { event: "message" };
      data = [];
    }
  }
}
