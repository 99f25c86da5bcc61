/**
 * A graph cannot be built or run as configured. The text is for the person who made the request: it names the key, the
 * variable or the package, and never repeats a secret. `code` uses the runtime's own error codes, so that a server
 * can map it without importing this package: "invalid" is the caller's mistake, "unavailable" the installation's.
 */
export class GraphConfigError extends Error {
  override readonly name = "GraphConfigError";
  readonly code: "invalid" | "unavailable";

  constructor(code: "invalid" | "unavailable", message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
