import type { Setting } from "../apps/ts/src/config/kinds.ts";
import { SETTINGS, type SettingName } from "../apps/ts/src/config/settings.ts";

const COLUMNS = 100;

function entries(): [SettingName, Setting<unknown>][] {
  return Object.entries(SETTINGS) as unknown as [SettingName, Setting<unknown>][];
}

/** Text of `.env.example`: every setting with its default, commented out, so that copying it changes nothing. */
export function generateEnvExample(): string {
  const lines = [
    "# Settings of the Fractal Agents Runtime, with their defaults. Copy this file to .env and take away the # in front",
    "# of what you change. Variables of the process win over this file; an empty value counts as not set.",
    "# Made by scripts/generate-env.mjs from apps/ts/src/config/settings.ts.",
  ];
  let section = "";
  for (const [name, setting] of entries()) {
    if (setting.section !== section) {
      section = setting.section;
      lines.push("", `## ${section}`);
    }
    const about = `${plain(setting.description)} (${setting.values}${shownDefault(setting)})`;
    lines.push("", ...wrap(about), `# ${name}=${setting.default ?? ""}`);
  }
  return `${lines.join("\n")}\n`;
}

/** The table of docs/settings.md in Markdown, one row per setting. */
export function generateEnvTable(): string {
  const rows = entries().map(([name, setting]) => {
    const fallback = setting.shownDefault ?? (setting.default === undefined ? "not set" : `\`${setting.default}\``);
    return `| \`${name}\` | ${fallback} | ${setting.description} |`;
  });
  return ["| Variable | Default | Meaning |", "|---|---|---|", ...rows].join("\n");
}

function shownDefault(setting: Setting<unknown>): string {
  return setting.shownDefault === undefined ? "" : `; default: ${plain(setting.shownDefault)}`;
}

function plain(markdown: string): string {
  return markdown.replaceAll("`", "");
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < COLUMNS) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`# ${word}`);
  }
  return lines;
}
