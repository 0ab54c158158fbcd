const units_ms: Readonly<Record<string, number>> = { ms: 1, s: 1e3, min: 6e4, h: 36e5, d: 864e5 };

/** A duration as SHOW prints it, in milliseconds: at most what a timer takes. */
export function milliseconds(setting: string): number {
  const [, count, unit] = /^(\d+)(ms|s|min|h|d)?$/.exec(setting) ?? [];
  return Math.min(Number(count ?? 0) * units_ms[unit ?? 'ms']!, 2 ** 31 - 1);
}
