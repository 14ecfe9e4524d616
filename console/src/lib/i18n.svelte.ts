/** Words in the reader's language. `src/messages/en.json` has every message; the others are loaded when chosen. */

import en from "../messages/en.json";
import { visible } from "./visible";

export type Key = keyof typeof en;
export type Language = "en" | "zh" | "de";
type Messages = Record<string, string>;
type Values = Record<string, string | number>;

export const LANGUAGES: readonly { code: Language; name: string }[] = [
  { code: "en", name: "English" },
  { code: "zh", name: "中文" },
  { code: "de", name: "Deutsch" },
];

const STORED = "likeness.language";
const state = $state<{ language: Language; messages: Messages }>({ language: "en", messages: en });

const FILES: Record<Language, () => Promise<Messages>> = {
  en: async () => en,
  zh: async () => (await import("../messages/zh.json")).default,
  de: async () => (await import("../messages/de.json")).default,
};

export function language(): Language {
  return state.language;
}

export async function setLanguage(language: Language): Promise<void> {
  localStorage.setItem(STORED, language);
  await use(language);
}

export async function start(): Promise<void> {
  const wanted = [localStorage.getItem(STORED), ...navigator.languages].map((tag) => tag?.slice(0, 2).toLowerCase());
  await use(wanted.find(isKnown) ?? "en");
}

function isKnown(tag: string | undefined): tag is Language {
  return LANGUAGES.some(({ code }) => code === tag);
}

async function use(language: Language): Promise<void> {
  const messages = await FILES[language]();
  state.messages = messages;
  state.language = language;
  document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
}

/**
 * The message of that key, with `{name}` replaced, invisible characters of texts made visible. With a value `n`, the message `KEY.one` is taken where the language
 * has a singular and `n` is it.
 */
export function t(key: Key, values: Values = {}): string {
  let text = state.messages[key] ?? en[key];
  if (typeof values.n === "number" && new Intl.PluralRules(state.language).select(values.n) === "one") {
    text = state.messages[`${key}.one`] ?? text;
  }
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? number(value) : visible(value);
  });
}

/** A message whose key is put together at run time, such as that of an error code; `undefined` if there is none. */
export function maybe(key: string): string | undefined {
  return state.messages[key] ?? (en as Messages)[key];
}

export function number(value: number, options?: Intl.NumberFormatOptions): string {
  return new Intl.NumberFormat(state.language, options).format(value);
}

export function date(text: string | undefined | null): string {
  if (!text) return "–";
  const at = new Date(text);
  return new Intl.DateTimeFormat(state.language, { dateStyle: "medium", timeStyle: "short" }).format(at);
}

/** "3 minutes ago", "in 2 hours". */
export function ago(text: string): string {
  const seconds = (new Date(text).getTime() - Date.now()) / 1000;
  const steps: [Intl.RelativeTimeFormatUnit, number][] = [["day", 86400], ["hour", 3600], ["minute", 60]];
  const [unit, size] = steps.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(state.language, { numeric: "auto" }).format(Math.round(seconds / size), unit);
}

export function bytes(n: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  const power = Math.min(Math.floor(Math.log10(Math.max(n, 1)) / 3), units.length - 1);
  return number(n / 1000 ** power, { style: "unit", unit: units[power], unitDisplay: "short", maximumFractionDigits: 1 });
}
