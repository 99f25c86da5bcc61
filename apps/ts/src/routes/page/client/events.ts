export interface StreamEvent {
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

/** Reads a server-sent event stream: frames end at a blank line, lines at LF or CRLF, comments begin with a colon. */
export async function* readEvents(stream: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let event = "message";
  let data: string[] = [];
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    const lines = (rest + decoder.decode(piece.value, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [field, text] = splitField(line);
      if (field === "event") event = text;
      if (field === "data") data.push(text);
      if (line.trim() !== "") continue;
      if (data.length > 0) yield { event, data: JSON.parse(data.join("\n")) };
      event = "message";
      data = [];
    }
  }
}
