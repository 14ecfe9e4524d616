/** What settings mean, in the reader's language. The program says it in English; the others are files, loaded with the page of settings. */

import type { Setting } from "./api";
import { language, number, t, type Language } from "./i18n.svelte";

interface Words {
  /** By the name of the setting. */
  about: Record<string, string>;
  /** By the program's own words for what is accepted. */
  accepted: Record<string, string>;
}

const NONE: Words = { about: {}, accepted: {} };
const FILES: Record<Language, () => Promise<Words>> = {
  en: async () => NONE,
  de: async () => (await import("../messages/settings/de.json")).default,
  zh: async () => (await import("../messages/settings/zh.json")).default,
};

const state = $state<{ words: Words }>({ words: NONE });

/** Takes the words of the language that holds now. */
export async function loadSettingWords(): Promise<void> {
  const wanted = language();
  const words = await FILES[wanted]();
  if (wanted === language()) state.words = words;
}

/** What a setting is for. */
export function settingAbout({ name, about }: Setting): string {
  return state.words.about[name] ?? about;
}

/** What it accepts. */
export function settingAccepts({ accepted }: Setting): string {
  const range = /^(\d+) to (\d+)$/.exec(accepted);
  if (range) return t("settings.range", { low: number(Number(range[1])), high: number(Number(range[2])) });
  return state.words.accepted[accepted] ?? accepted;
}
