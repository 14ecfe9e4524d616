/** Refusals and findings of the server in the reader's language, from their codes and values. */

import { ApiError, type Doubt, type Failure, type Finding } from "./api";
import { language, maybe, number, t, type Key } from "./i18n.svelte";
import { visible } from "./visible";
import { cosine, oneIn, rateOf } from "./words";

/** A figure that is too low. */
export function failureWords({ figure, value, least }: Failure): string {
  const digits = figure === "side_px" ? 0 : 2;
  // Rounded down, so that what is just below the least is not shown as the least.
  const rounded = Math.floor(value * 10 ** digits) / 10 ** digits;
  const text = (shown: number) => number(shown, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return maybe(`failure.${figure}`) ? t(`failure.${figure}` as Key, { value: text(rounded), least: text(least) }) : figure;
}

/** Why a face is in doubt. */
export function doubtWords(doubt: Doubt): string {
  return failureWords({ figure: "presence", value: doubt.presence, least: doubt.presence_min });
}

const IMAGES: Record<string, Key> = { image: "finding.image", image_a: "compare.first", image_b: "compare.second" };

/** What bears on a verdict; a code that this page does not know is told by the server's own remark. */
export function findingWords(finding: Finding, remark: string): string {
  if (!maybe(`finding.${finding.code}`)) return visible(remark);
  return t(`finding.${finding.code}` as Key, {
    by: cosine(finding.by ?? 0),
    similarity: cosine(finding.similarity ?? 0),
    // The other texts have their own words for a bound.
    far: finding.code === "no_match" ? rateOf({ far: finding.far ?? 0, far_bound: finding.far_bound }) : oneIn(finding.far ?? 0),
    image: t(IMAGES[finding.image ?? "image"] ?? "finding.image"),
    n_faces: finding.n_faces ?? 0,
    failure: finding.failure ? failureWords(finding.failure) : "",
  });
}

/** What a refusal is about, in the reader's language; `undefined` where its code is not known. */
export function headline(error: unknown): string | undefined {
  return error instanceof ApiError ? maybe(`error.${error.code}`) : undefined;
}

/** A refusal in one line, for lists. */
export function brief(error: unknown): string {
  const words = visible(error instanceof Error ? error.message : String(error));
  if (!(error instanceof ApiError)) return words;
  if (error.failures.length) return error.failures.map(failureWords).join("; ");
  const known = headline(error);
  // The server's words are English and say more.
  if (!known || error.status === 0) return known ?? words;
  return language() === "en" ? words : `${known} ${t("error.said")} ${words}`;
}
