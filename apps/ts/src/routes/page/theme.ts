/** Colours and basics that the chat page and the API reference share. Text contrast is at least 4.5:1 in both schemes. */
export const THEME = `
:root {
  color-scheme: light dark;
  --ground: #f7f8f7; --surface: #ffffff; --sunken: #eef1ef; --line: #dde3e0;
  --text: #17211e; --soft: #55645f; --accent: #0b7a6b; --accent-text: #ffffff; --accent-soft: #e2f3ef;
  --warn: #8a5300; --warn-soft: #fdf1dc; --bad: #b3261e; --bad-soft: #fdeceb;
  --mono: ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, monospace;
  --sans: ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f1513; --surface: #161e1b; --sunken: #1d2723; --line: #2b3833;
    --text: #e5ece9; --soft: #9badA6; --accent: #4fc9b4; --accent-text: #06201b; --accent-soft: #17352f;
    --warn: #f0bd6b; --warn-soft: #33270f; --bad: #ff9a92; --bad-soft: #3a1a18;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.55 var(--sans); }
a { color: var(--accent); text-underline-offset: 3px; }
button, select, textarea, input { font: inherit; color: inherit; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
h1, h2, h3 { line-height: 1.25; margin: 0; font-weight: 600; }
code, pre { font-family: var(--mono); font-size: 0.87em; }
pre { margin: 0; overflow-x: auto; }
summary { cursor: pointer; }
[hidden] { display: none !important; }
.brand { display: flex; align-items: center; gap: 10px; font-weight: 600; color: inherit; text-decoration: none; }
.brand svg { width: 22px; height: 22px; fill: var(--accent); flex: none; }
.button { border: 1px solid var(--line); background: var(--surface); border-radius: 9px; padding: 6px 14px; cursor: pointer; }
.button:hover { border-color: var(--accent); }
.button.primary { background: var(--accent); border-color: var(--accent); color: var(--accent-text); font-weight: 600; }
.button:disabled { opacity: 0.5; cursor: default; }
.quiet { color: var(--soft); }
.visually-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (prefers-reduced-motion: reduce) { * { animation: none !important; transition: none !important; scroll-behavior: auto !important; } }
`;

export const LOGO =
  '<svg viewBox="0 0 32 32" aria-hidden="true"><path d="M16 3 30 28H2zm0 12.5L9 28h14z" fill-rule="evenodd"/></svg>';
