/** Texts that people gave, shown so that no character of them hides or turns what stands around it. */

/** Controls, formats, and what no font draws; but for variants of a character, which belong to it. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu;
const VARIANT = /[\uFE00-\uFE0F\u{E0100}-\u{E01EF}]/u;

/** Joiners have a meaning within emoji and in scripts whose letters join; between Latin letters they only hide. */
const JOINER = /[\u200C\u200D]/u;
const JOINED = /[\p{Extended_Pictographic}\p{Emoji_Modifier}\uFE0F\p{Script=Arabic}\p{Script=Syriac}\p{Script=Mongolian}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Gurmukhi}\p{Script=Gujarati}\p{Script=Oriya}\p{Script=Tamil}\p{Script=Telugu}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Sinhala}\p{Script=Khmer}]/u;

function named(character: string): string {
  return `‹U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}›`;
}

/** A face set where one is chosen among several: labels need not differ. */
export function setWords(set: { name: string; label?: string | null }): string {
  return visible(set.label && set.label !== set.name ? `${set.label} · ${set.name}` : set.name);
}

/**
 * The text with invisible characters named, such as `‹U+202E›` for one that turns the direction of what follows, and the
 * spaces of a text that has nothing else. In notes, `lines`, line breaks and tabs stay.
 */
export function visible(text: string, lines = false): string {
  if (text !== "" && text.trim() === "") return [...text].map((space) => (space === " " ? "␣" : named(space))).join("");
  return text.replace(INVISIBLE, (character, place: number) => {
    if (VARIANT.test(character) || (lines && "\n\r\t".includes(character))) return character;
    const before = [...text.slice(0, place)].at(-1) ?? "";
    return JOINER.test(character) && JOINED.test(before) ? character : named(character);
  });
}
