/** False-accept rates between the measured points of a model pack, in the way in which the server interpolates them. */

import type { Box, Pack, Rate } from "./api";
import { CUT_ROOM } from "./photo";

type Points = Pack["operating_points"];

/** Share of comparisons of strangers that come out at least so similar; never below the smallest measured rate. */
export function farAt(points: Points, similarity: number): number {
  const last = points.length - 1;
  let segment = points.slice(1).findIndex((point) => similarity <= point.similarity);
  if (segment < 0) segment = last - 1;
  const [a, b] = [points[segment], points[segment + 1]];
  if (!a || !b) return 1;
  const share = (similarity - a.similarity) / (b.similarity - a.similarity);
  const log = Math.log10(a.far) + share * (Math.log10(b.far) - Math.log10(a.far));
  return Math.min(1, Math.max(points[last]?.far ?? 0, 10 ** log));
}

/** The same, with whether it was measured or is a bound. */
export function rateAt(points: Points, similarity: number): Rate {
  const [first, last] = [points[0], points.at(-1)];
  const far_bound = last && similarity > last.similarity ? "at_most" : first && similarity < first.similarity ? "at_least" : "measured";
  return { far: farAt(points, similarity), far_bound };
}

/** The similarity of a false-accept rate. */
export function similarityAt(points: Points, far: number): number {
  let segment = points.slice(1).findIndex((point) => far >= point.far);
  if (segment < 0) segment = points.length - 2;
  const [a, b] = [points[segment], points[segment + 1]];
  if (!a || !b) return 1;
  const share = (Math.log10(far) - Math.log10(a.far)) / (Math.log10(b.far) - Math.log10(a.far));
  return a.similarity + share * (b.similarity - a.similarity);
}

/** The threshold that a page begins with: that of the pack's default rate, or the strictest measured one if it has none. */
export function usualThreshold(pack: Pack): number {
  const points = pack.operating_points;
  return pack.default_far === undefined ? (points.at(-1)?.similarity ?? 1) : similarityAt(points, pack.default_far);
}

/** Probability that a stranger is taken for somebody among `n` faces. */
export function falseMatch(far: number, n: number): number {
  return -Math.expm1(n * Math.log1p(-Math.min(far, 1 - 1e-12)));
}

/** Intersection over union of two boxes. */
export function iou(a: Box, b: Box): number {
  const width = Math.min(a.left + a.width, b.left + b.width) - Math.max(a.left, b.left);
  const height = Math.min(a.top + a.height, b.top + b.height) - Math.max(a.top, b.top);
  if (width <= 0 || height <= 0) return 0;
  const common = width * height;
  return common / (a.width * a.height + b.width * b.height - common);
}

/** The face that is found in a cut-out is the one that was cut out if their boxes agree so far. */
const SAME_FACE_IOU = 0.4;

/** Whether a face found in a cut-out is the one that was cut out: as large, and where it has to be. */
export function isCutOut(found: Box, wanted: Box): boolean {
  const margin = Math.max(wanted.width, wanted.height) * CUT_ROOM;
  return iou(found, { ...wanted, left: Math.min(margin, wanted.left), top: Math.min(margin, wanted.top) }) >= SAME_FACE_IOU;
}
