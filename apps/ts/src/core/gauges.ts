import type { RunStatus } from "#schemas/runs";

export interface StorageTotals {
  assistants: number;
  threads: number;
  /** Of every status; one that is absent has none. */
  runs: Partial<Record<RunStatus, number>>;
}

/** `ready`: due and with an idle lane; `oldest_ms`: how long the oldest of them waits; `quarantined`: kept apart, or observed. */
export interface RunCounts {
  pending: number;
  running: number;
  ready: number;
  oldest_ms: number;
  quarantined: number;
}

/** What a storage engine tells whoever watches it. The promises may be late, or reject, without harm. */
export interface StorageGauges {
  counts(): Promise<RunCounts>;
  /** Over all tenants; asked now and then, not with every scrape. Without it the totals are left out. */
  totals?: (() => Promise<StorageTotals>) | undefined;
  connections?: (() => { total: number; idle: number; waiting: number; max: number }) | undefined;
  /** Writes refused because the run's lane had moved on, since the start of this process. */
  fenceRefusals?: (() => number) | undefined;
}
