/** Figures over time, from the server's counters. */

import type { Metrics } from "./api";

/** What happened between two answers. */
export interface Span {
  /** Answered requests a second. */
  rate: number;
  /** Of those, refused or failed. */
  failures: number;
  /** Half of the requests took no longer, in milliseconds; none without requests. */
  median_ms?: number;
  /** Nineteen of twenty took no longer. */
  p95_ms?: number;
}

/** Sums of the buckets of durations over all operations. */
function buckets(metrics: Metrics): number[] {
  const sums = metrics.duration_bucket_ends_s.map(() => 0).concat(0);
  for (const { duration_buckets } of metrics.operations) duration_buckets.forEach((n, idx) => (sums[idx] = (sums[idx] ?? 0) + n));
  return sums;
}

const total = (metrics: Metrics, of: "n" | "n_refused" | "n_failed") => metrics.operations.reduce((sum, one) => sum + one[of], 0);

/**
 * The duration in seconds that a share of the requests kept, evenly spread within a bucket; of the last bucket, which has no
 * upper end, its lower one.
 */
export function quantile(ends: readonly number[], counts: readonly number[], share: number): number | undefined {
  const all = counts.reduce((sum, n) => sum + n, 0);
  if (all <= 0) return undefined;
  let left = all * share;
  for (const [idx, n] of counts.entries()) {
    const [low, high] = [idx === 0 ? 0 : (ends[idx - 1] ?? 0), ends[idx]];
    if (left <= n) return high === undefined ? low : low + (high - low) * (n === 0 ? 1 : left / n);
    left -= n;
  }
  return ends.at(-1);
}

/** What happened between two answers; `undefined` if the server was started anew in between. */
export function between(before: Metrics, after: Metrics): Span | undefined {
  const seconds = (new Date(after.time).getTime() - new Date(before.time).getTime()) / 1000;
  if (before.started_at !== after.started_at || seconds <= 0) return undefined;
  const was = buckets(before);
  const counts = buckets(after).map((n, idx) => n - (was[idx] ?? 0));
  const failures = (metrics: Metrics) => total(metrics, "n_refused") + total(metrics, "n_failed");
  const ms = (share: number) => {
    const s = quantile(after.duration_bucket_ends_s, counts, share);
    return s === undefined ? undefined : s * 1000;
  };
  return {
    rate: (total(after, "n") - total(before, "n")) / seconds,
    failures: (failures(after) - failures(before)) / seconds,
    median_ms: ms(0.5),
    p95_ms: ms(0.95),
  };
}
