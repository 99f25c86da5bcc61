/** What the supervisor (bin/supervisor.mjs) and other callers read off the exit code, after sysexits.h. */
export const EXIT = { ok: 0, failure: 1, unavailable: 69, reload: 75, configuration: 78 } as const;
