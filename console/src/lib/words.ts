/** Rates and names in words. */

import type { Rate } from "./api";
import { number, t } from "./i18n.svelte";

/** "1 in 20,000". */
export function oneIn(rate: number): string {
  if (rate <= 0) return t("rate.never");
  if (rate > 0.12) return number(rate, { style: "percent", maximumFractionDigits: 0 });
  return t("rate.onein", { times: number(Number((1 / rate).toPrecision(2))) });
}

/** The same, where the rate may be a bound: "fewer than 1 in 1,000,000". */
export function rateOf({ far, far_bound }: Rate): string {
  if (far_bound === "at_most") return t("rate.atmost", { rate: oneIn(far) });
  return far_bound === "at_least" ? t("rate.atleast", { rate: oneIn(far) }) : oneIn(far);
}

export function cosine(similarity: number): string {
  return number(similarity, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
}

export function percent(share: number | undefined | null): string {
  return share === undefined || share === null ? "–" : number(share, { style: "percent", maximumFractionDigits: 0 });
}

/** The name of a person that a file's name or folder suggests: `anna_02.jpg` is Anna's second picture. */
export function nameOf(path: string, from: "file" | "folder"): string {
  const parts = path.split("/");
  const folder = parts.at(-2);
  if (from === "folder") return folder ?? "";
  const file = (parts.at(-1) ?? "").replace(/\.[^.]*$/, "");
  return file.replace(/[\s_-]*\(?\d+\)?$/, "").replace(/_/g, " ").trim() || file;
}
