import { THEME } from "./theme.ts";

export const CHAT_STYLE = `${THEME}
body { min-height: 100vh; display: flex; flex-direction: column; }
header { display: flex; align-items: center; gap: 14px; padding: 14px 24px; border-bottom: 1px solid var(--line); background: var(--surface); }
header nav { margin-left: auto; display: flex; gap: 18px; }
.badge { font-size: 13px; padding: 2px 11px; border-radius: 999px; background: var(--accent-soft); color: var(--text); border: 1px solid transparent; }
.badge.demo { background: var(--warn-soft); color: var(--warn); border-color: currentColor; }
main { flex: 1; display: grid; grid-template-columns: minmax(0, 1fr) 350px; gap: 24px; width: 100%; max-width: 1240px; margin: 0 auto; padding: 24px; }
.chat { display: flex; flex-direction: column; min-height: 0; height: calc(100vh - 108px); background: var(--surface); border: 1px solid var(--line); border-radius: 16px; }
.bar { display: flex; align-items: center; gap: 10px; padding: 10px 16px; border-bottom: 1px solid var(--line); }
.bar select { border: 1px solid var(--line); background: var(--surface); border-radius: 8px; padding: 4px 8px; max-width: 60%; }
.bar .button { margin-left: auto; padding: 4px 12px; }
.log { flex: 1; overflow-y: auto; padding: 20px; display: flex; flex-direction: column; gap: 14px; }
.welcome { margin: auto; text-align: center; max-width: 460px; }
.welcome h1 { font-size: 22px; margin-bottom: 8px; }
.ideas { display: flex; flex-wrap: wrap; justify-content: center; gap: 8px; margin-top: 18px; }
.ideas .button { border-radius: 999px; font-size: 14px; }
.message { max-width: 84%; overflow-wrap: anywhere; }
.message.human .text { white-space: pre-wrap; }
.message.human { align-self: flex-end; background: var(--accent-soft); border-radius: 16px 16px 4px 16px; padding: 9px 15px; }
.message.ai { align-self: flex-start; }
.text > :first-child, .text li > :first-child, .text blockquote > :first-child { margin-top: 0; }
.text > :last-child, .text li > :last-child, .text blockquote > :last-child { margin-bottom: 0; }
.text p, .text ul, .text ol, .text blockquote, .text .scroll { margin: 8px 0; }
.text p { white-space: pre-line; }
.text h3, .text h4, .text h5 { margin: 16px 0 6px; font-size: 15px; }
.text h3 { font-size: 19px; } .text h4 { font-size: 17px; }
.text ul, .text ol { padding-left: 22px; } .text li { margin: 3px 0; } .text li > ul, .text li > ol { margin: 3px 0; }
.text blockquote { margin-left: 0; padding-left: 13px; border-left: 3px solid var(--line); color: var(--soft); }
.text hr { border: 0; border-top: 1px solid var(--line); margin: 14px 0; }
.text .scroll { overflow-x: auto; }
.text table { border-collapse: collapse; font-size: 14px; }
.text th, .text td { border: 1px solid var(--line); padding: 5px 11px; text-align: left; vertical-align: top; }
.text th { background: var(--sunken); font-weight: 600; }
.text .right { text-align: right; } .text .center { text-align: center; }
.text pre { background: var(--sunken); border-radius: 10px; padding: 10px 13px; margin: 8px 0; white-space: pre; }
.text code { background: var(--sunken); border-radius: 5px; padding: 1px 5px; }
.text pre code { padding: 0; }
.tool { border: 1px solid var(--line); border-radius: 11px; margin-top: 8px; font-size: 14px; background: var(--ground); }
.tool summary { padding: 7px 13px; display: flex; gap: 8px; align-items: center; list-style: none; }
.tool summary::-webkit-details-marker { display: none; }
.tool summary::before { content: ""; width: 8px; height: 8px; border-radius: 50%; background: var(--warn); flex: none; }
.tool.done summary::before { background: var(--accent); }
.tool.failed summary::before { background: var(--bad); }
.tool summary::after { content: "show"; margin-left: auto; color: var(--soft); font-size: 13px; }
.tool[open] summary::after { content: "hide"; }
.tool div { padding: 0 13px 11px; }
.tool h3 { font-size: 12px; color: var(--soft); font-weight: 500; margin: 4px 0 3px; }
.tool pre { background: var(--sunken); border-radius: 8px; padding: 8px 11px; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 260px; overflow-y: auto; }
.note { align-self: stretch; border-radius: 12px; padding: 11px 15px; font-size: 14px; }
.note.bad { background: var(--bad-soft); color: var(--bad); overflow-wrap: anywhere; }
.note.soft { color: var(--soft); text-align: center; padding: 2px; }
.part { display: contents; }
.ask { align-self: stretch; border: 1px solid var(--warn); border-radius: 14px; overflow: hidden; flex: none; }
.ask[inert] { opacity: 0.6; }
.ask h2 { font-size: 14px; color: var(--warn); background: var(--warn-soft); padding: 9px 16px; }
.decision { padding: 14px 16px; }
.decision + .decision { border-top: 1px solid var(--line); }
.decision h3 { font-size: 15px; margin-bottom: 4px; overflow-wrap: anywhere; }
.decision .text { overflow-wrap: anywhere; }
.decision dl { margin: 10px 0 0; display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 6px 14px; align-items: baseline; font-size: 14px; }
.decision dt { color: var(--soft); } .decision dd { margin: 0; }
.decision pre { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 260px; overflow-y: auto; background: var(--sunken); border-radius: 8px; padding: 5px 10px; }
.decision > pre { margin-top: 10px; }
.inputs { display: grid; gap: 10px; margin-top: 12px; }
.inputs textarea, .inputs input, .inputs select, .input textarea, .input input, .input select { width: 100%; border: 1px solid var(--line); border-radius: 9px; padding: 7px 11px; background: var(--ground); font-weight: 400; }
.inputs textarea, .input textarea { resize: vertical; field-sizing: content; min-height: 38px; max-height: 240px; }
.inputs .code, .input .code { font-family: var(--mono); font-size: 13px; }
.fields { display: grid; gap: 10px; }
.field { display: grid; gap: 4px; font-size: 14px; }
.field strong { font-weight: 500; }
.must { color: var(--bad); font-size: 12px; }
.row { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; }
.row.done { justify-content: space-between; margin-top: 12px; color: var(--accent); font-weight: 500; }
.row.done .button { color: var(--text); font-weight: 400; }
.problem { margin: 0; color: var(--bad); font-size: 14px; }
.more { display: flex; align-items: center; justify-content: center; gap: 12px; font-size: 14px; }
.lost { padding: 8px 16px; background: var(--warn-soft); color: var(--warn); font-size: 14px; text-align: center; border-top: 1px solid var(--line); }
.typing { align-self: flex-start; display: flex; gap: 5px; padding: 6px 2px; }
.typing i { width: 7px; height: 7px; border-radius: 50%; background: var(--soft); animation: pulse 1.1s infinite; }
.typing i:nth-child(2) { animation-delay: 0.15s; } .typing i:nth-child(3) { animation-delay: 0.3s; }
@keyframes pulse { 0%, 80%, 100% { opacity: 0.25; } 40% { opacity: 1; } }
.compose { display: flex; flex-wrap: wrap; gap: 10px; align-items: flex-end; justify-content: flex-end; padding: 13px 16px; border-top: 1px solid var(--line); }
.input { flex: 1 0 100%; max-height: 40vh; overflow-y: auto; padding: 4px; margin: -4px; }
.input .fields { grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); align-items: end; }
.input details .fields { padding-top: 10px; }
.compose #text { flex: 1; min-width: 0; resize: none; border: 1px solid var(--line); border-radius: 12px; padding: 9px 13px; background: var(--ground); max-height: 180px; field-sizing: content; min-height: 44px; }
.compose #text:disabled { opacity: 0.65; }
.compose .button { height: 44px; min-width: 76px; }
aside { display: flex; flex-direction: column; gap: 16px; min-width: 0; }
.card { background: var(--surface); border: 1px solid var(--line); border-radius: 16px; padding: 16px 18px; }
.card h2 { font-size: 15px; margin-bottom: 10px; }
.card p { margin: 0 0 8px; }
.graphs { list-style: none; margin: 0; padding: 0; display: flex; flex-direction: column; gap: 10px; }
.graphs code { color: var(--soft); overflow-wrap: anywhere; font-size: 12px; }
.graphs .bad { color: var(--bad); overflow-wrap: anywhere; }
.snippet { display: flex; align-items: center; justify-content: space-between; gap: 10px; margin: 12px 0 6px; }
.snippet h3 { font-size: 13px; color: var(--soft); font-weight: 500; }
.snippet .button { padding: 1px 10px; font-size: 12px; flex: none; }
.card pre { background: var(--sunken); border-radius: 10px; padding: 12px 13px; font-size: 12px; line-height: 1.5; }
@media (max-width: 900px) {
  main { grid-template-columns: minmax(0, 1fr); padding: 14px; }
  header { padding: 12px 16px; flex-wrap: wrap; gap: 8px 14px; }
  .badge { order: 1; flex-basis: 100%; text-align: center; }
  .chat { height: 76vh; }
}
`;
