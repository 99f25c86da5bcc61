/** Minutes in which caches fill. */
const WARM_UP = 5;
/** Growth of the last third over the first third after the warm-up that counts as noise. */
const NOISE = 1.1;

export function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Whether memory (MiB, a mean per minute) stays where it is from the fifth minute on. */
export function flat(means: readonly number[]): { flat: boolean; text: string } {
  const settled = means.slice(WARM_UP);
  const third = Math.floor(settled.length / 3);
  if (third === 0) return { flat: true, text: "too short to say whether memory grows" };
  const [early, late] = [mean(settled.slice(0, third)), mean(settled.slice(-third))];
  const text = `memory ${early.toFixed(0)} MiB after the warm-up, ${late.toFixed(0)} MiB at the end`;
  return { flat: late <= early * NOISE, text };
}
