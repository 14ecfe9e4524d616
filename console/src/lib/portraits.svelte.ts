/**
 * Small pictures of faces, of face sets that keep them. Those that come into sight together are asked for in one call; the last
 * few hundred are kept in the page, and none in the browser's cache.
 */

import { SvelteMap } from "svelte/reactivity";
import * as api from "./api";

/** Most faces of one call. */
const BATCH = 100;
const KEPT_MAX = 600;
/** Faces that come into sight within this time are asked for together. */
const WAIT_MS = 30;

/** Where faces are looked up: in a face set, or with a person. */
export type Where = { set: string } | { person: string };

/** Addresses of pictures, empty for a face that has none, by where it is looked up and its id. */
const known = new SvelteMap<string, string>();
const wanted = new Map<string, { where: Where; ids: Set<string> }>();
let timer: ReturnType<typeof setTimeout> | undefined;

const placeOf = (where: Where) => ("set" in where ? `set ${where.set}` : `person ${where.person}`);

/** The address of the picture of a face; `undefined` while it is not known and where there is none. */
export function portrait(where: Where, id: string): string | undefined {
  return known.get(`${placeOf(where)} ${id}`) || undefined;
}

/** Has the picture fetched, unless it is there or on its way. */
export function want(where: Where, id: string): void {
  const place = placeOf(where);
  if (known.has(`${place} ${id}`)) return;
  const group = wanted.get(place) ?? { where, ids: new Set<string>() };
  group.ids.add(id);
  wanted.set(place, group);
  timer ??= setTimeout(fetchAll, WAIT_MS);
}

/** The picture of a person in a list, where the list has brought one. */
export function portraitOf(person: string): string | undefined {
  return known.get(`list ${person}`) || undefined;
}

/** Keeps the pictures that a list of persons has brought. */
export function keepPortraits(persons: api.Person[]): void {
  for (const { key, thumbnail } of persons) {
    if (thumbnail) keep(`list ${key}`, thumbnail);
    else forget(`list ${key}`);
  }
  forgetOldest();
}

function keep(name: string, jpeg: string): void {
  forget(name);
  known.set(name, URL.createObjectURL(new Blob([bytes(jpeg)], { type: "image/jpeg" })));
}

function forget(name: string): void {
  const url = known.get(name);
  if (url) URL.revokeObjectURL(url);
  known.delete(name);
}

function forgetOldest(): void {
  for (const name of [...known.keys()].slice(0, Math.max(0, known.size - KEPT_MAX))) forget(name);
}

/** Somebody else may be at the screen next. */
export function forgetPortraits(): void {
  for (const url of known.values()) if (url) URL.revokeObjectURL(url);
  known.clear();
  wanted.clear();
}

async function fetchAll(): Promise<void> {
  timer = undefined;
  const groups = [...wanted.values()];
  wanted.clear();
  for (const { where, ids } of groups) {
    const all = [...ids];
    for (let from = 0; from < all.length; from += BATCH) await fetchSome(where, all.slice(from, from + BATCH));
  }
}

async function fetchSome(where: Where, ids: string[]): Promise<void> {
  let found: api.Thumbnail[];
  try {
    found = await ("set" in where ? api.thumbnails(where.set, ids) : api.personThumbnails(where.person, ids));
  } catch {
    // Without a picture there is the silhouette; they are asked for again when they come into sight again.
    return;
  }
  const place = placeOf(where);
  for (const id of ids) known.set(`${place} ${id}`, "");
  for (const { id, jpeg } of found) keep(`${place} ${id}`, jpeg);
  forgetOldest();
}

function bytes(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const found = new Uint8Array(text.length);
  for (let idx = 0; idx < text.length; idx++) found[idx] = text.charCodeAt(idx);
  return found;
}
