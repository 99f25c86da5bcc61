import { type Metric, Registry } from "prom-client";

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  labels: Labels;
  value: number;
  /** Where it is not the family's own: `<name>_bucket`, `_sum`, `_count`. */
  metricName?: string;
}

export interface Family {
  name: string;
  help: string;
  type: "counter" | "gauge" | "histogram" | "summary";
}

/**
 * Families whose samples are read when somebody asks. Counting itself happens in plain fields and arrays, so that it
 * costs next to nothing where requests and runs pass; prom-client writes the exposition.
 */
export class MetricRegistry {
  readonly #registry = new Registry();

  /** Of `text`: Prometheus text format 0.0.4. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** No sample means that the value is not known now. Throws on a name that is taken. */
  add(family: Family, read: () => Sample[]): void {
    const metric = { ...family, get: async () => ({ ...family, values: read() }) };
    // All that a registry asks of a metric is its name and `get`; the type lists prom-client's own classes only.
    this.#registry.registerMetric(metric as unknown as Metric);
  }

  /** A family of one sample without labels, left out while it is undefined. */
  addValue(family: Family, read: () => number | undefined): void {
    this.add(family, () => {
      const value = read();
      return value === undefined ? [] : [{ labels: {}, value }];
    });
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  async json(): Promise<(Family & { values: Sample[] })[]> {
    return (await this.#registry.getMetricsAsJSON()) as unknown as (Family & { values: Sample[] })[];
  }
}

/** One series of a histogram. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;
  #count = 0;

  /** @param bounds Upper bounds of the buckets, ascending, without the infinite one. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length);
  }

  get count(): number {
    return this.#count;
  }

  /** A value that is no number counts as 0: whoever counts must not fail for it. */
  observe(given: number): void {
    const value = given > 0 && given < Number.POSITIVE_INFINITY ? given : 0;
    this.#sum += value;
    this.#count += 1;
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] as number)) at++;
    if (at < this.#bounds.length) this.#counts[at] = (this.#counts[at] as number) + 1;
  }

  /** Adds what another histogram of the same bounds has seen. */
  merge(other: Histogram): void {
    other.#counts.forEach((count, at) => {
      this.#counts[at] = (this.#counts[at] as number) + count;
    });
    this.#sum += other.#sum;
    this.#count += other.#count;
  }

  /** @param scale Of the unit that is told: 1000 for milliseconds of what was observed in seconds. */
  samples(name: string, labels: Labels, scale = 1): Sample[] {
    let below = 0;
    const buckets = this.#bounds.map((bound, at) => {
      below += this.#counts[at] as number;
      return { metricName: `${name}_bucket`, labels: { ...labels, le: String(bound * scale) }, value: below };
    });
    return [
      ...buckets,
      { metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: this.#count },
      { metricName: `${name}_sum`, labels, value: this.#sum * scale },
      { metricName: `${name}_count`, labels, value: this.#count },
    ];
  }
}

/** Histograms by up to three label values. Finding one is a map lookup per label; nothing is allocated for it. */
export class Histograms {
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, Map<string, Map<string, Histogram>>>();

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
  }

  /** Whoever calls sees to it that there are only so many values of each. */
  of(first: string, second = "", third = ""): Histogram {
    const known = this.#series.get(first)?.get(second)?.get(third);
    if (known !== undefined) return known;
    const made = new Histogram(this.#bounds);
    const bySecond = this.#series.get(first) ?? new Map<string, Map<string, Histogram>>();
    const byThird = bySecond.get(second) ?? new Map<string, Histogram>();
    this.#series.set(first, bySecond.set(second, byThird.set(third, made)));
    return made;
  }

  /** Every series with its label values. */
  *[Symbol.iterator](): Generator<[first: string, second: string, third: string, series: Histogram]> {
    for (const [first, bySecond] of this.#series) {
      for (const [second, byThird] of bySecond) {
        for (const [third, series] of byThird) yield [first, second, third, series];
      }
    }
  }

  /** By the first two labels only. */
  merged(): Histograms {
    const all = new Histograms(this.#bounds);
    for (const [first, second, , series] of this) all.of(first, second).merge(series);
    return all;
  }

  /** @param names Of the labels, as many as are used. */
  samples(name: string, names: readonly string[], scale = 1): Sample[] {
    const samples: Sample[] = [];
    for (const [first, second, third, series] of this) {
      const values = [first, second, third];
      const labels = Object.fromEntries(names.map((label, at) => [label, values[at] ?? ""]));
      samples.push(...series.samples(name, labels, scale));
    }
    return samples;
  }
}

/** The last values of something, for quantiles over all of them. */
export class RecentValues {
  readonly #ring: Float64Array;
  #sum = 0;
  #count = 0;

  constructor(size: number) {
    this.#ring = new Float64Array(size);
  }

  get size(): number {
    return Math.min(this.#count, this.#ring.length);
  }

  observe(value: number): void {
    this.#ring[this.#count % this.#ring.length] = value;
    this.#count += 1;
    this.#sum += value;
  }

  /** Without quantiles before the first value; sum and count are of all values ever. */
  samples(name: string, quantiles: readonly number[]): Sample[] {
    const sorted = this.#ring.slice(0, this.size).sort();
    const told = sorted.length === 0 ? [] : quantiles;
    return [
      ...told.map((quantile) => ({
        labels: { quantile: String(quantile) },
        value: sorted[Math.max(0, Math.ceil(quantile * sorted.length) - 1)] as number,
      })),
      { metricName: `${name}_sum`, labels: {}, value: this.#sum },
      { metricName: `${name}_count`, labels: {}, value: this.#count },
    ];
  }
}
