/** Time between two runs of a tenant that is not ahead, for each live process: 10 runs a second and process. */
const SPACING_MS = 100;
/** Tenants that are not ahead are forgotten when this many are known. */
const KNOWN = 1_000;

/**
 * One virtual clock per tenant, in the memory of each process. A tenant within its share is served in the order of
 * arrival; one that creates a thousand runs at once gets stamps far ahead, so that others pass it. Stamps only order
 * what waits: idle slots take a run at once, whatever its stamp.
 */
export class TenantClocks {
  readonly #now: () => number;
  /** Stamp of the tenant's latest run, ms. */
  readonly #latest = new Map<string, number>();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** How far the tenant's next run is ahead of its share, ms. */
  ahead(tenant: string, processes: number): number {
    const now = this.#now();
    const earliest = (this.#latest.get(tenant) ?? Number.NEGATIVE_INFINITY) + SPACING_MS * Math.max(1, processes);
    const stamp = Math.max(now, earliest);
    if (!this.#latest.has(tenant) && this.#latest.size >= KNOWN) this.#forget(now);
    this.#latest.set(tenant, stamp);
    return stamp - now;
  }

  #forget(now: number): void {
    for (const [tenant, stamp] of this.#latest) if (stamp < now) this.#latest.delete(tenant);
  }
}
