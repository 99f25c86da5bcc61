import { createHash } from "node:crypto";

/** One page in one answer: no request to anybody else, not even to us, before it works. */
export interface Html {
  body: string;
  headers: Record<string, string>;
}

export interface HtmlParts {
  title: string;
  description: string;
  style: string;
  markup: string;
  /** Functions that run in the browser. They are sent as their own source, so each may use only its parameters, the
   * browser's globals, and the other functions of the list. */
  functions: readonly ((...args: never[]) => unknown)[];
  /** Which of them starts the page. */
  start: () => unknown;
}

const ICON =
  "data:image/svg+xml," +
  encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#0f9d8a" d="M16 3 30 28H2zm0 12.5L9 28h14z" fill-rule="evenodd"/></svg>',
  );

/** Style and script are named by their hashes, so that the page needs neither `unsafe-inline` nor `unsafe-eval`. */
export function buildHtml(parts: HtmlParts): Html {
  const script = `${parts.functions.map(String).join("\n")}\n${parts.start.name}();`;
  const policy = [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src ${hash(parts.style)}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  const body = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="description" content="${parts.description}">
<title>${parts.title}</title>
<link rel="icon" href="${ICON}">
<style>${parts.style}</style>
</head>
<body>
${parts.markup}
<script type="module">${script}</script>
</body>
</html>
`;
  return {
    body,
    headers: {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": policy,
      "X-Content-Type-Options": "nosniff",
      "Referrer-Policy": "no-referrer",
      "Cache-Control": "no-cache",
    },
  };
}

function hash(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
