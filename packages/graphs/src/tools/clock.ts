import { tool } from "@langchain/core/tools";
import { z } from "zod";

const ClockInput = z.object({
  timezone: z.string().default("UTC").describe('IANA time zone, for example "Europe/Berlin"; UTC when left out'),
});

/** @param now Milliseconds since 1970, UTC. */
export function createClock(now: () => number) {
  return tool(({ timezone }: z.infer<typeof ClockInput>) => describeTime(now(), timezone), {
    name: "get_current_time",
    description: "Tells the current date, weekday and time in a time zone.",
    schema: ClockInput,
  });
}

/** For example `Tuesday, 2026-11-24 09:30:00 (Europe/Berlin, GMT+01:00)`. Throws for a time zone that does not exist. */
export function describeTime(milliseconds: number, timezone: string): string {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat("en-GB", {
      timeZone: timezone,
      weekday: "long",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      hourCycle: "h23",
      timeZoneName: "longOffset",
    });
  } catch (cause) {
    throw new Error(`Unknown time zone "${timezone.slice(0, 60)}": use an IANA name such as Europe/Berlin`, { cause });
  }
  const part = Object.fromEntries(format.formatToParts(milliseconds).map(({ type, value }) => [type, value]));
  const date = `${part.year}-${part.month}-${part.day}`;
  const time = `${part.hour}:${part.minute}:${part.second}`;
  // Engines write a zero offset in two ways.
  const offset = part.timeZoneName === "GMT" ? "GMT+00:00" : part.timeZoneName;
  return `${part.weekday}, ${date} ${time} (${timezone}, ${offset})`;
}
