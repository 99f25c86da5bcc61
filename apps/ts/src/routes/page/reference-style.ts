import { THEME } from "./theme.ts";

export const REFERENCE_STYLE = `${THEME}
header { position: sticky; top: 0; z-index: 1; display: flex; align-items: center; gap: 14px; padding: 12px 24px; border-bottom: 1px solid var(--line); background: var(--surface); }
header input { margin-left: auto; border: 1px solid var(--line); border-radius: 9px; padding: 6px 12px; background: var(--ground); width: min(300px, 40vw); }
.layout { display: grid; grid-template-columns: 210px minmax(0, 1fr); gap: 30px; max-width: 1180px; margin: 0 auto; padding: 24px; }
nav { position: sticky; top: 84px; align-self: start; display: flex; flex-direction: column; gap: 6px; max-height: calc(100vh - 110px); overflow-y: auto; }
nav a { color: var(--soft); text-decoration: none; padding: 3px 0; }
nav a:hover { color: var(--accent); }
section { scroll-margin-top: 80px; margin-bottom: 38px; }
section > h2 { font-size: 21px; margin-bottom: 4px; }
section > p { margin: 0 0 14px; }
.operation { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; margin-bottom: 9px; scroll-margin-top: 80px; }
.operation > summary { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 12px; padding: 10px 15px; list-style: none; }
.operation > summary::-webkit-details-marker { display: none; }
.operation > summary code { overflow-wrap: anywhere; }
.operation > summary .link { color: var(--soft); text-decoration: none; opacity: 0; }
.operation > summary:hover .link, .operation > summary .link:focus-visible { opacity: 1; }
.operation > summary span:last-of-type { margin-left: auto; color: var(--soft); text-align: right; }
.method { font: 600 12px var(--mono); min-width: 58px; text-align: center; border-radius: 7px; padding: 3px 6px; background: var(--sunken); }
.method.get { background: var(--accent-soft); color: var(--accent); }
.method.delete { background: var(--bad-soft); color: var(--bad); }
.method.post, .method.put, .method.patch { background: var(--warn-soft); color: var(--warn); }
.detail { padding: 4px 17px 17px; border-top: 1px solid var(--line); }
.detail h3 { font-size: 13px; color: var(--soft); margin: 15px 0 5px; font-weight: 500; }
.detail h4 { font: 600 13px var(--mono); margin: 10px 0 3px; }
.fields { list-style: none; margin: 0; padding: 0 0 0 13px; border-left: 2px solid var(--line); }
.fields li { margin: 5px 0; overflow-wrap: anywhere; }
.fields .type { color: var(--soft); font-size: 13px; margin-left: 7px; }
.fields .must { color: var(--bad); font-size: 12px; margin-left: 7px; }
.try { display: grid; gap: 9px; margin-top: 8px; }
.try label { display: grid; gap: 3px; font-size: 13px; color: var(--soft); }
.try input, .try textarea { border: 1px solid var(--line); border-radius: 8px; padding: 7px 11px; background: var(--ground); color: var(--text); font: 13px var(--mono); width: 100%; }
.try textarea { min-height: 110px; resize: vertical; }
.try .button { justify-self: start; }
.try pre { background: var(--sunken); border-radius: 10px; padding: 11px 13px; max-height: 420px; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 820px) { .layout { grid-template-columns: minmax(0, 1fr); padding: 14px; } nav { display: none; } }
`;
