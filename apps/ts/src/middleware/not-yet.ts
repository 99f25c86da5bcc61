const ID = "[^/]+";

/** Operations of LangGraph Platform that are not implemented; whoever implements one removes its line. */
const NOT_YET: readonly (readonly [methods: string, path: string, part: string, what: string])[] = [
  ["POST", "/runs/crons(/search|/count)?", "runs", "crons are"],
  ["GET PATCH DELETE", `/runs/crons/${ID}`, "runs", "crons are"],
  ["POST", `/threads/${ID}/runs/crons`, "runs", "crons are"],
  ["GET", `/threads/${ID}/stream`, "runs", "streams of a whole thread are"],
  ["POST", `/threads/${ID}/commands`, "runs", "the second stream protocol is"],
  ["GET POST", `/threads/${ID}/stream/events`, "runs", "the second stream protocol is"],
  ["GET", `/threads/${ID}/storage`, "threads", "the storage report of a thread is"],
  ["PATCH", `/threads/${ID}/state`, "threads", "PATCH of a thread's state is"],
  ["GET POST DELETE", "/mcp", "mcp", "MCP is"],
  ["GET POST", `/a2a/${ID}(/\\.well-known/agent-card\\.json)?`, "a2a", "A2A is"],
  ["GET", "/\\.well-known/agent-card\\.json", "a2a", "A2A is"],
  ["POST", `/ui/${ID}`, "ui", "generative UI is"],
  ["GET", `/ui/${ID}/${ID}`, "ui", "generative UI is"],
];
const OPERATIONS = NOT_YET.map(([methods, path, part, what]) => ({
  methods: methods.split(" "),
  path: new RegExp(`^${path}/?$`),
  part,
  text: `${what} not supported yet`,
}));

/**
 * A sentence about an operation that clients of LangGraph Platform know and this server lacks; undefined for any other.
 * @param disabled Parts of the API that are switched off, and therefore not spoken of.
 */
export function notYet(method: string, path: string, disabled?: ReadonlySet<string>): string | undefined {
  return OPERATIONS.find(
    (operation) => operation.methods.includes(method) && operation.path.test(path) && !disabled?.has(operation.part),
  )?.text;
}
