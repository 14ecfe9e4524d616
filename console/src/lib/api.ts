/** The native API as the console uses it: types of its answers and one function for each operation. `docs/native.md`. */

export const PREFIX = "/likeness/v1";

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export type Point = [number, number];

export interface Detection {
  box: Box;
  landmarks: { right_eye: Point; left_eye: Point; nose: Point; mouth_right: Point; mouth_left: Point };
  score: number;
}

export interface Quality {
  total?: number;
  sharpness?: number;
  illumination?: number;
  pose?: number;
  visibility?: number;
}

/** Why a face is hardly one. */
export interface Doubt {
  presence: number;
  presence_min: number;
}

/** A figure of a face that is too low. */
export interface Failure {
  figure: string;
  value: number;
  least: number;
}

/** What bears on a verdict, as a code with its values. */
export interface Finding {
  code: string;
  by?: number;
  similarity?: number;
  far?: number;
  far_bound?: "measured" | "at_most" | "at_least";
  image?: string;
  failure?: Failure;
  n_faces?: number;
}

export interface DetectedFace extends Detection {
  turn: number;
  doubt?: Doubt;
  quality?: Quality;
  pose?: { yaw: number; pitch: number; roll: number };
  landmarks68?: Point[];
  openness?: { right_eye: number; left_eye: number; mouth: number; eye_contrast: number };
  expressions?: Record<string, number>;
  age?: number;
  male?: number;
  liveness?: number;
}

export interface Detections {
  image_width: number;
  image_height: number;
  faces: DetectedFace[];
  not_measured?: string[];
}

export interface Field {
  name: string;
  type: string;
}

export interface FaceSet {
  /** The tag of its state, where it was read or changed by itself. */
  etag?: string;
  name: string;
  label?: string;
  note?: string;
  tags?: string[];
  pack: string;
  fields: Field[];
  capacity?: number;
  quality: string;
  /** Whether small pictures of its faces are kept. */
  thumbnails: boolean;
  n_faces: number;
  /** How many bytes its faces take; not in every answer. */
  storage?: { template_bytes: number; record_bytes: number; thumbnail_bytes: number; is_exact: boolean };
  created_at: string;
}

export interface Face extends Detection {
  /** As of a face set. */
  etag?: string;
  id: string;
  /** Key of the person that it belongs to; none for a face of the set itself. */
  person?: string;
  person_name?: string;
  subject?: string;
  external_id?: string;
  note?: string;
  fields?: Record<string, unknown>;
  created_at: string;
  updated_at: string;
}

export interface RefusedFace {
  detection: Detection;
  failures: Failure[];
}

export interface Faces {
  faces: Face[];
  refused?: RefusedFace[];
  next_offset?: number;
  /** How many faces pass the filter. */
  n_matching?: number;
}

/** What a similarity means: share of comparisons of two strangers that come out at least so similar. */
export interface Rate {
  far: number;
  /** Whether `far` was measured or is a bound beyond the measured range. */
  far_bound?: "measured" | "at_most" | "at_least";
}

export interface Candidate extends Rate {
  similarity: number;
  face: Face;
}

export interface SearchAnswer {
  pack: string;
  similarity_min: number;
  probe?: Detection;
  candidates: Candidate[];
  explanation?: SearchExplanation;
}

/** A face with all that bears on how well it is recognised. */
export interface ExaminedFace extends Detection {
  /** The strictest quality gate that it passes. */
  gate: string;
  quality?: Quality;
  doubt?: Doubt;
  /** What the recogniser saw: a PNG file in base64. */
  crop?: string;
}

export interface SearchExplanation {
  probe?: ExaminedFace;
  best?: Candidate;
  next?: Candidate;
  margin?: number;
  remarks: string[];
  findings: Finding[];
}

export interface Comparison extends Rate {
  explanation?: { faces: [ExaminedFace, ExaminedFace]; remarks: string[]; findings: Finding[] };
  similarity: number;
  same: boolean;
  similarity_min: number;
  pack: string;
  faces: [Detection, Detection];
}

export interface Pack {
  id: string;
  dimensions: number;
  /** Rate of a verdict where nobody says which; absent where requests have to say one. */
  default_far?: number;
  operating_points: { far: number; similarity: number; far_interval?: { low: number; high: number }; tar?: number }[];
}

export interface Judged {
  alive: boolean;
  probability?: number;
  face?: Detection;
  actions?: { action: string; confidence: number }[];
  duration_ms?: number;
  remarks: string[];
}

/** A refusal, in the server's own words. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field?: string,
    readonly hint?: string,
    readonly requestId?: string,
    /** What is wrong with a face that is not good enough. */
    readonly failures: Failure[] = [],
  ) {
    super(message);
  }
}

export interface Options {
  query?: Record<string, string | number | boolean | undefined>;
  json?: unknown;
  body?: Blob | FormData;
  signal?: AbortSignal;
  headers?: Record<string, string>;
  /** Whether it does not matter for whom this page was made. */
  isForAnybody?: boolean;
}

/** Called when a call is refused because nobody is signed in any more. */
let onSignedOut: () => void = () => {};

export function whenSignedOut(then: () => void): void {
  onSignedOut = then;
}

/** Called when a call is refused because another tab has signed in as somebody else. */
let onOtherSession: () => void = () => {};

export function whenOtherSession(then: () => void): void {
  onOtherSession = then;
}

/** For whom this page was made, as the server is told; empty where nobody is signed in. */
let pageOf = "";

export function pageIsOf(who: string): void {
  pageOf = who;
}

/** The path of an operation below the prefix, its segments encoded. */
export function at(...segments: string[]): string {
  return `/${segments.map(encodeURIComponent).join("/")}`;
}

export async function call<A>(method: string, path: string, options: Options = {}): Promise<A> {
  const response = await send(method, path, options);
  const text = await response.text();
  return (text ? JSON.parse(text) : {}) as A;
}

/** The same, with the tag of the state that is answered. */
async function tagged<A>(method: string, path: string, options: Options = {}): Promise<A & { etag?: string }> {
  const response = await send(method, path, options);
  // A proxy that compresses makes tags weak, which no condition matches; the server's are digests of the state itself.
  const etag = response.headers.get("etag")?.replace(/^W\//, "");
  return { ...((await response.json()) as A), etag };
}

/** A change of some values, if the state still has that tag. */
function change<A>(path: string, json: object, ifMatch: string | undefined): Promise<A & { etag?: string }> {
  return tagged("PATCH", path, { json, headers: ifMatch ? { "if-match": ifMatch } : {} });
}

/** One request; an answer that is no success is thrown as an [`ApiError`]. */
export async function send(method: string, path: string, options: Options = {}): Promise<Response> {
  const words = Object.entries(options.query ?? {}).filter(([, value]) => value !== undefined && value !== "");
  const query = new URLSearchParams(words.map(([name, value]) => [name, String(value)])).toString();
  // Another site's page cannot send this header, so the server knows that the request is the console's.
  const headers: Record<string, string> = { "x-likeness-csrf": "1", ...options.headers };
  // Another tab may have signed in as somebody else: then the server refuses what this page would change there.
  if (pageOf && !options.isForAnybody) headers["x-likeness-session"] = pageOf;
  let body: BodyInit | undefined = options.body;
  if (options.json !== undefined) {
    headers["content-type"] = "application/json";
    body = JSON.stringify(options.json);
  } else if (body instanceof Blob) {
    // The bytes say what they are; a name that the system gave them is not needed.
    headers["content-type"] = "application/octet-stream";
  }
  let response: Response;
  try {
    response = await fetch(`${PREFIX}${path}${query ? `?${query}` : ""}`, {
      method,
      headers,
      body,
      signal: options.signal,
      credentials: "same-origin",
      cache: "no-store",
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "the server does not answer");
  }
  if (response.ok) return response;
  const error = await refusal(response);
  if (error.code === "other_session") {
    onOtherSession();
    throw error;
  }
  // A key that was disabled or has expired is refused with 403, as is a missing grant: whether anybody is signed in tells.
  if (response.status === 401 || (response.status === 403 && !(await isSignedIn()))) onSignedOut();
  throw error;
}

async function isSignedIn(): Promise<boolean> {
  const answer = await fetch(`${PREFIX}/session?if_any=true`, { credentials: "same-origin", cache: "no-store" }).catch(() => undefined);
  // Without an answer nothing is known; an empty one says that nobody is.
  return answer === undefined || answer.status === 200 || answer.status >= 500;
}

async function refusal(response: Response): Promise<ApiError> {
  const id = response.headers.get("x-request-id") ?? undefined;
  try {
    const { error } = (await response.json()) as {
      error: { code: string; message: string; field?: string; hint?: string; request_id?: string; failures?: Failure[] };
    };
    return new ApiError(response.status, error.code, error.message, error.field, error.hint, error.request_id ?? id, error.failures);
  } catch {
    return new ApiError(response.status, "unknown", `the server answered with status ${response.status}`, undefined, undefined, id);
  }
}

/** For how long a server that is busy is asked again, and how often. */
const PATIENT_MS = 20_000;
const AGAIN_MS = 1000;

/** What a server that is too busy refuses has not been done, and a moment later there may be room. */
async function patiently<A>(work: () => Promise<A>, signal?: AbortSignal): Promise<A> {
  const began = Date.now();
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const isBusy = error instanceof ApiError && (error.code === "overloaded" || error.code === "rate_exceeded");
      if (!isBusy || signal?.aborted || Date.now() - began > PATIENT_MS) throw error;
      await new Promise((wake) => setTimeout(wake, AGAIN_MS));
      signal?.throwIfAborted();
    }
  }
}

// ---- face sets

export const faceSets = async (): Promise<FaceSet[]> => (await call<{ face_sets: FaceSet[] }>("GET", "/face-sets")).face_sets;
/** With how many bytes the faces of each take. */
export const faceSetsWithStorage = async (): Promise<FaceSet[]> =>
  (await call<{ face_sets: FaceSet[] }>("GET", "/face-sets", { query: { include: "storage" } })).face_sets;
export const faceSet = (name: string): Promise<FaceSet> => tagged("GET", at("face-sets", name));
export const createFaceSet = (body: object): Promise<FaceSet> => call("POST", "/face-sets", { json: body });
export const updateFaceSet = (name: string, body: object, ifMatch?: string): Promise<FaceSet> =>
  change(at("face-sets", name), body, ifMatch);
export const deleteFaceSet = (name: string): Promise<unknown> => call("DELETE", at("face-sets", name));

// ---- faces

export const facesAt = (set: string, offset: number, limit: number, signal?: AbortSignal): Promise<Faces> =>
  call("GET", at("face-sets", set, "faces"), { query: { offset, limit }, signal });
/** Those that pass a filter, from a place on. */
export const facesPassing = (set: string, filter: string, offset: number, limit: number, signal?: AbortSignal): Promise<Faces> =>
  call("GET", at("face-sets", set, "faces"), { query: { filter, offset, limit }, signal });
/** Those whose name or external id begins so. */
export const facesBeginning = (set: string, begins: string, limit: number, signal?: AbortSignal): Promise<Faces> =>
  call("GET", at("face-sets", set, "faces"), { query: { begins, limit }, signal });
export const face = (set: string, id: string): Promise<Face> => tagged("GET", at("face-sets", set, "faces", id));
export const updateFace = (set: string, id: string, body: object, ifMatch?: string): Promise<Face> =>
  change(at("face-sets", set, "faces", id), body, ifMatch);
export const deleteFace = (set: string, id: string): Promise<unknown> =>
  call("DELETE", at("face-sets", set, "faces", id));

/** A small picture of a face: a JPEG file in base64. */
export interface Thumbnail {
  id: string;
  jpeg: string;
}

const pictures = async (path: string, ids: string[]): Promise<Thumbnail[]> =>
  (await call<{ thumbnails: Thumbnail[] }>("POST", path, { json: { ids } })).thumbnails;
/** Of up to 100 faces; those without a picture are left out. */
export const thumbnails = (set: string, ids: string[]): Promise<Thumbnail[]> =>
  pictures(at("face-sets", set, "faces", "thumbnails"), ids);
export const personThumbnails = (key: string, ids: string[]): Promise<Thumbnail[]> =>
  pictures(at("persons", key, "faces", "thumbnails"), ids);

export interface Enrolment {
  subject?: string;
  external_id?: string;
  note?: string;
  faces?: string;
  accept_doubtful?: boolean;
}

export const enrol = (set: string, image: Blob, options: Enrolment, signal?: AbortSignal): Promise<Faces> =>
  patiently(() => call("POST", at("face-sets", set, "faces"), { body: image, query: { ...options }, signal }), signal);

/** Keeps an image for an hour, to be named by a job; its name. */
export const upload = async (image: Blob): Promise<string> =>
  (await call<{ upload: string }>("POST", "/uploads", { body: image })).upload;
/** The same for many uploads as a job. */
export const enrolLater = (set: string, photos: ({ image: { upload: string } } & Enrolment)[]): Promise<Job> =>
  call("POST", at("face-sets", set, "faces", "enrol-later"), { json: { photos } });

/** Who a face shows, as far as anybody said. */
export function nameOf(face: Face): string | undefined {
  return face.subject ?? face.person_name ?? face.person;
}

// ---- persons

export interface Person {
  /** As of a face set. */
  etag?: string;
  key: string;
  name?: string;
  note?: string;
  face_sets?: string[];
  n_faces?: number;
  /** A JPEG file in base64, where a listing asks for it. */
  thumbnail?: string;
  created_at: string;
}

export interface Page<T> {
  items: T[];
  next?: string;
}

async function page<T, K extends string>(name: K, path: string, query: Options["query"], signal?: AbortSignal): Promise<Page<T>> {
  const answer = await call<Record<K, T[]> & { next_cursor?: string }>("GET", path, { query, signal });
  return { items: answer[name], next: answer.next_cursor };
}

export const persons = (cursor?: string, options: { contains?: string; include?: string; limit?: number } = {}): Promise<Page<Person>> =>
  page("persons", "/persons", { cursor, limit: 200, ...options });
export const person = (key: string): Promise<Person> => tagged("GET", at("persons", key));
export const createPerson = (body: object): Promise<Person> => call("POST", "/persons", { json: body });
export const updatePerson = (key: string, body: object, ifMatch?: string): Promise<Person> =>
  change(at("persons", key), body, ifMatch);
export const deletePerson = (key: string): Promise<unknown> => call("DELETE", at("persons", key));
export const personFaces = (key: string, cursor?: string): Promise<Page<Face>> =>
  page("faces", at("persons", key, "faces"), { cursor, limit: 1000 });
export const addPersonFace = (key: string, image: Blob): Promise<Face> =>
  patiently(() => call("POST", at("persons", key, "faces"), { body: image }));
export const deletePersonFace = (key: string, id: string): Promise<unknown> =>
  call("DELETE", at("persons", key, "faces", id));
export const changeMemberships = (key: string, body: { join?: string[]; leave?: string[] }): Promise<Person> =>
  call("POST", at("persons", key, "face-sets"), { json: body });
export const moveFaces = (key: string, to: string, ids: string[]): Promise<unknown> =>
  call("POST", at("persons", key, "move"), { json: { to, face_ids: ids } });
export const mergePersons = (key: string, from: string): Promise<{ person: Person; n_moved: number }> =>
  call("POST", at("persons", key, "merge"), { json: { from } });
export const splitPerson = (key: string, body: { face_ids: string[]; key: string; name?: string; note?: string }): Promise<Person> =>
  call("POST", at("persons", key, "split"), { json: body });

// ---- keys, jobs, state

export interface AccessKey {
  id: string;
  label?: string;
  grants: string[];
  face_sets?: string[];
  enabled: boolean;
  created_at: string;
  expires_at?: string;
  last_used_at?: string;
  old_secret_valid_until?: string;
  secret?: string;
}

export const keys = (cursor?: string): Promise<Page<AccessKey>> => page("keys", "/keys", { cursor });
export const createKey = (body: object): Promise<AccessKey> => call("POST", "/keys", { json: body });
export const enableKey = (id: string, enabled: boolean): Promise<AccessKey> =>
  call("PATCH", at("keys", id), { json: { enabled } });
export const rotateKey = (id: string, overlap_s: number): Promise<AccessKey> =>
  call("POST", at("keys", id, "rotate"), { json: { overlap_s } });
export const deleteKey = (id: string): Promise<unknown> => call("DELETE", at("keys", id));

export interface Job {
  id: string;
  kind: string;
  state: string;
  n_attempts: number;
  key?: string;
  created_at: string;
  due_at?: string;
  expires_at?: string;
  progress?: { n_done: number; n_total: number };
  outcome?: { n_faces?: number; photos?: PhotoOutcome[]; code?: string; message?: string };
}

/** What became of an image that a job enrolled. */
export interface PhotoOutcome {
  n_faces: number;
  n_refused: number;
  face_ids?: string[];
  code?: string;
  message?: string;
}

/** Why an image of a job was refused, if it was. */
export function refusalOf({ code, message }: PhotoOutcome): ApiError | undefined {
  return message === undefined ? undefined : new ApiError(422, code ?? "unknown", message);
}

export const jobs = (cursor?: string): Promise<Page<Job>> => page("jobs", "/jobs", { cursor });
export const job = (id: string): Promise<Job> => call("GET", at("jobs", id));
export const cancelJob = (id: string): Promise<unknown> => call("DELETE", at("jobs", id));

export interface Status {
  version: string;
  ready: boolean;
  reason?: string;
  rows_set_aside: number;
  other_damage: number;
  lost_commits: number;
  /** Of each part of the server: `ok`, `degraded` or `failed`. */
  parts: Record<string, { state: string; reason?: string }>;
  engines: Record<string, string>;
  packs: string[];
  usage?: { n_face_sets: number; n_persons: number; n_faces: number };
  time: string;
}

export const status = (): Promise<Status> => call("GET", "/status");

/** One setting of the server. */
export interface Setting {
  name: string;
  value?: string | number | boolean | string[];
  is_set: boolean;
  is_hidden: boolean;
  origin: string;
  origin_name?: string;
  env: string;
  accepted: string;
  about: string;
}

export const settings = async (): Promise<Setting[]> => (await call<{ settings: Setting[] }>("GET", "/settings")).settings;

/** What the server counted since its start, over all tenants. */
export interface Metrics {
  time: string;
  started_at: string;
  requests_in_flight: number;
  connections: number;
  duration_bucket_ends_s: number[];
  operations: { dialect: string; operation: string; n: number; n_refused: number; n_failed: number; duration_buckets: number[] }[];
  analysis: { threads: number; busy: number; queued: number; queue_max: number };
  store?: { bytes: number; free_bytes: number; n_faces: number };
  memory_bytes?: number;
}

export const metrics = (signal?: AbortSignal): Promise<Metrics> => call("GET", "/metrics", { signal });

// ---- looking

export interface Looking {
  top?: number;
  similarity_min?: number;
  far?: number;
  filter?: string;
  one_per_person?: boolean;
  explain?: boolean;
  crops?: boolean;
}

export const searchImage = (set: string, image: Blob, options: Looking, signal?: AbortSignal): Promise<SearchAnswer> =>
  patiently(() => call("POST", at("face-sets", set, "search"), { body: image, query: { ...options }, signal }), signal);
export const searchFace = (set: string, faceId: string, options: Looking, signal?: AbortSignal): Promise<SearchAnswer> =>
  patiently(() => call("POST", at("face-sets", set, "search"), { json: { face_id: faceId, ...options }, signal }), signal);

export const detect = (image: Blob, assess: string, signal?: AbortSignal): Promise<Detections> =>
  patiently(() => call("POST", "/detect", { body: image, query: { assess }, signal }), signal);

export function compare(a: Blob, b: Blob, signal?: AbortSignal): Promise<Comparison> {
  const form = new FormData();
  form.append("image_a", a, "a");
  form.append("image_b", b, "b");
  form.append("explain", "true");
  form.append("crops", "true");
  return patiently(() => call("POST", "/compare", { body: form, signal }), signal);
}

export const liveness = (image: Blob, actions: string, signal?: AbortSignal): Promise<Judged> =>
  patiently(() => call("POST", "/liveness", { body: image, query: { actions: actions || undefined }, signal }), signal);

export const packs = async (): Promise<Pack[]> => (await call<{ packs: Pack[] }>("GET", "/packs")).packs;
