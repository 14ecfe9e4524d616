/**
 * Goes through the faces of a set and finds which of them resemble each other, by searching for each of them. It runs in
 * the page, with the operations that every client has.
 */

import * as api from "./api";
import { eachOf } from "./loader.svelte";

export interface Pair extends api.Rate {
  a: api.Face;
  b: api.Face;
  similarity: number;
}

export interface Scan {
  faces: api.Face[];
  /** Each pair once, the most alike first. */
  pairs: Pair[];
}

const AT_ONCE = 3;
const PAGE = 500;
/** Most candidates of a search. */
export const TOP_MAX = 1000;

export interface ScanOptions {
  /** Faces that are looked for, from the first on or spread evenly over the set. */
  probes: number;
  spread: boolean;
  top: number;
  similarity_min?: number;
  far?: number;
}

/** `onProgress` is told how many of how many faces are done. */
export async function scan(
  set: api.FaceSet,
  options: ScanOptions,
  onProgress: (done: number, of: number) => void,
  signal: AbortSignal,
): Promise<Scan> {
  const faces = await probesOf(set, options, signal);
  const pairs = new Map<string, Pair>();
  let done = 0;
  await eachOf(faces, AT_ONCE, async (face) => {
    signal.throwIfAborted();
    const { top, similarity_min, far } = options;
    // A face that was deleted meanwhile is no reason to stop.
    const answer = await api.searchFace(set.name, face.id, { top, similarity_min, far }, signal).catch((error: unknown) => {
      if (error instanceof api.ApiError && error.status === 404) return undefined;
      throw error;
    });
    for (const { face: other, similarity, far, far_bound } of answer?.candidates ?? []) {
      if (other.id === face.id) continue;
      const key = face.id < other.id ? `${face.id} ${other.id}` : `${other.id} ${face.id}`;
      if (!pairs.has(key)) pairs.set(key, { a: face, b: other, similarity, far, far_bound });
    }
    onProgress(++done, faces.length);
  });
  return { faces, pairs: [...pairs.values()].sort((a, b) => b.similarity - a.similarity) };
}

async function probesOf(set: api.FaceSet, { probes, spread }: ScanOptions, signal: AbortSignal): Promise<api.Face[]> {
  const n = Math.min(probes, set.n_faces);
  if (!spread || set.n_faces <= PAGE) {
    const faces: api.Face[] = [];
    for (let offset = 0; offset < (spread ? set.n_faces : n); offset += PAGE) {
      faces.push(...(await api.facesAt(set.name, offset, Math.min(PAGE, set.n_faces - offset), signal)).faces);
    }
    const step = Math.max(1, faces.length / n);
    return spread ? Array.from({ length: Math.min(n, faces.length) }, (_, idx) => faces[Math.floor(idx * step)]).filter((face) => !!face) : faces.slice(0, n);
  }
  // A few neighbours at a time: those of one person were often enrolled one after the other.
  const stretch = 5;
  const n_stretches = Math.ceil(n / stretch);
  const faces: api.Face[] = [];
  await eachOf([...Array(n_stretches).keys()], AT_ONCE, async (idx) => {
    const offset = Math.floor((idx * (set.n_faces - stretch)) / n_stretches);
    faces.push(...(await api.facesAt(set.name, offset, stretch, signal)).faces);
  });
  return faces;
}

/** A group of faces without a name that resemble each other, and the name that a face like them has. */
export interface Group {
  faces: api.Face[];
  suggestion?: string;
}

export interface Findings {
  /** One face of each of two names, much alike. */
  lookAlikes: Pair[];
  unnamed: Group[];
  /** Faces that resemble another name more than their own. */
  strays: { face: api.Face; name: string; nearer: Pair }[];
  /** Faces of pictures that say little, the smallest first. */
  doubtful: api.Face[];
}

/** A face that is smaller has less detail than the recogniser looks at. */
const SIDE_MIN_PX = 56;
/** Detectors are surer than this of nearly every face that people would call one. */
const SCORE_MIN = 0.6;

/** What a scan tells about names. */
export function findings({ faces, pairs }: Scan): Findings {
  const named = (face: api.Face) => api.nameOf(face);
  const lookAlikes = new Map<string, Pair>();
  const best = new Map<string, { own?: Pair; other?: Pair }>();
  const parent = new Map<string, string>();
  const root = (id: string): string => {
    const up = parent.get(id) ?? id;
    if (up === id) return id;
    const top = root(up);
    parent.set(id, top);
    return top;
  };
  const unnamed = new Map<string, api.Face>();
  const hints = new Map<string, string>();
  for (const face of faces) if (!named(face)) unnamed.set(face.id, face);

  for (const pair of pairs) {
    const [a, b] = [named(pair.a), named(pair.b)];
    if (a && b) {
      if (a !== b) {
        const key = a < b ? `${a}\n${b}` : `${b}\n${a}`;
        if (!lookAlikes.has(key)) lookAlikes.set(key, pair);
      }
      for (const face of [pair.a, pair.b]) {
        const known = best.get(face.id) ?? {};
        if (a === b) known.own ??= pair;
        else known.other ??= pair;
        best.set(face.id, known);
      }
    } else if (!a && !b) {
      unnamed.set(pair.a.id, pair.a).set(pair.b.id, pair.b);
      parent.set(root(pair.a.id), root(pair.b.id));
    } else {
      const [without, name] = a ? [pair.b, a] : [pair.a, b];
      unnamed.set(without.id, without);
      if (name && !hints.has(without.id)) hints.set(without.id, name);
    }
  }

  const groups = new Map<string, Group>();
  for (const face of unnamed.values()) {
    const group = groups.get(root(face.id)) ?? { faces: [] };
    group.faces.push(face);
    group.suggestion ??= hints.get(face.id);
    groups.set(root(face.id), group);
  }
  const counts = new Map<string, number>();
  for (const face of faces) {
    const name = named(face);
    if (name) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const strays = faces.flatMap((face) => {
    const [name, known] = [named(face), best.get(face.id)];
    if (!name || !known?.other || (counts.get(name) ?? 0) < 2) return [];
    return !known.own || known.own.similarity < known.other.similarity ? [{ face, name, nearer: known.other }] : [];
  });
  const side = ({ box }: api.Face) => Math.min(box.width, box.height);
  // Without a box it came by its template, and nobody knows how large it was.
  const isDoubtful = (face: api.Face) => side(face) > 0 && (side(face) < SIDE_MIN_PX || face.score < SCORE_MIN);
  return {
    doubtful: faces.filter(isDoubtful).sort((a, b) => side(a) - side(b)),
    lookAlikes: [...lookAlikes.values()],
    unnamed: [...groups.values()].sort((a, b) => b.faces.length - a.faces.length),
    strays,
  };
}
