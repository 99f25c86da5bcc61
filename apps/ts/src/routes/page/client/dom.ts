/** An element with attributes and children; text becomes text, never markup. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string>,
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** The element of that id, which the page's own markup holds. */
export function byId<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

/** The server's address as this page was reached, without a slash at its end; works below a path prefix. */
export function serverUrl(page: string): string {
  const path = location.pathname.endsWith(page) ? location.pathname.slice(0, -page.length) : location.pathname;
  return location.origin + path.replace(/\/+$/, "");
}

export async function failureText(response: Response): Promise<string> {
  const text = await response.text();
  try {
    return (JSON.parse(text) as { detail: string }).detail;
  } catch {
    return `The server answered ${response.status}: ${text.slice(0, 300)}`;
  }
}

/** Copies the text of an element; where the browser forbids it (no HTTPS), it is selected for the reader to copy. */
export async function copyText(source: HTMLElement, button: HTMLElement): Promise<void> {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent ?? "");
    button.textContent = "Copied";
  } catch {
    getSelection()?.selectAllChildren(source);
    button.textContent = "Selected";
  }
  setTimeout(() => {
    button.textContent = label;
  }, 1500);
}

/** A random UUID; `crypto.randomUUID` is missing where the page came without HTTPS from another machine. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const variant = "89ab"[Number.parseInt(hex.charAt(16), 16) % 4];
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
}

export function complaintOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
