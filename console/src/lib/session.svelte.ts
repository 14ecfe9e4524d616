/** Who is signed in. The proof is a cookie that no script can read; the page knows only what the server says of it. */

import { ApiError, call, pageIsOf, whenOtherSession, whenSignedOut } from "./api";
import { forgetPortraits } from "./portraits.svelte";

export type Grant = "read" | "search" | "enrol" | "delete" | "manage" | "templates";

export interface Session {
  tenant: string;
  is_owner?: boolean;
  key?: { id: string; label?: string };
  grants: Grant[];
  /** The only face sets that it may use; absent if it may use all. */
  face_sets?: string[];
  expires_at?: string;
  ends_at?: string;
}

const state = $state<{ session: Session | null | undefined; ended: boolean; isLinkUsed: boolean; failure?: unknown }>({
  session: undefined,
  ended: false,
  isLinkUsed: false,
});

/** Takes somebody as signed in, or nobody; what was shown to another one is gone. */
function become(session: Session | null): void {
  if (!session) forgetPortraits();
  pageIsOf(session ? whoIs(session) : "");
  state.session = session;
}

function whoIs({ key, tenant }: Session): string {
  return key ? key.id : `owner:${tenant}`;
}

whenSignedOut(() => {
  if (state.session) state.ended = true;
  become(null);
});

/** Remembers over a reload why it was. */
const RELOADED = "likeness.reloaded";

/** Shows what whoever is signed in by now sees, and says so. */
function startAnew(): void {
  become(null);
  sessionStorage.setItem(RELOADED, "1");
  location.reload();
}

whenOtherSession(startAnew);

/** Whether the page was loaded anew because another tab has signed in as somebody else; asked once. */
export function wasOther(): boolean {
  const was = sessionStorage.getItem(RELOADED) !== null;
  sessionStorage.removeItem(RELOADED);
  return was;
}

/** Tells the other tabs of this browser, which have one cookie together, that somebody signed in or out. */
const tabs = new BroadcastChannel("likeness.session");
tabs.onmessage = () => void follow();
addEventListener("visibilitychange", () => !document.hidden && void follow());

/** Looks whether this page is still that of who is signed in. */
async function follow(): Promise<void> {
  if (!state.session) return;
  const found = await call<Partial<Session>>("GET", "/session", { query: { if_any: true }, isForAnybody: true }).catch(() => undefined);
  if (!state.session || !found) return;
  if (found.tenant === undefined) {
    state.ended = true;
    become(null);
  } else if (whoIs(found as Session) !== whoIs(state.session)) {
    startAnew();
  }
}

/** `undefined` while it is asked for, `null` if nobody is signed in. */
export function session(): Session | null | undefined {
  return state.session;
}

/** Whether a session ended by itself, so that the reader learns why the sign-in page is there. */
export function hasEnded(): boolean {
  return state.ended;
}

export function can(...grants: Grant[]): boolean {
  return grants.every((grant) => state.session?.grants.includes(grant));
}

/** Who is signed in when the page is opened; a ticket, of a link of `likeness console`, signs in. */
export async function load(ticket: string | null): Promise<void> {
  try {
    if (ticket) return await signIn({ ticket });
    // Nobody is an empty answer: browsers report a refusal in their console.
    const found = await call<Partial<Session>>("GET", "/session", { query: { if_any: true } });
    become(found.tenant === undefined ? null : (found as Session));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    state.session = null;
    state.ended = false;
    state.isLinkUsed = !!ticket && error.status === 401;
    if (!state.isLinkUsed) state.failure = error;
  }
}

/** Whether the page was opened by a link that signs in no more. */
export function isLinkUsed(): boolean {
  return state.isLinkUsed;
}

/** Why it is not known who is signed in. */
export function loadFailure(): unknown {
  return state.failure;
}

export async function signIn(proof: { key: string } | { ticket: string }): Promise<void> {
  become(await call<Session>("POST", "/session", { json: proof }));
  tabs.postMessage("signed in");
  state.ended = state.isLinkUsed = false;
  state.failure = undefined;
}

export async function signOut(): Promise<void> {
  try {
    await call("DELETE", "/session");
  } finally {
    become(null);
    tabs.postMessage("signed out");
    state.ended = false;
  }
}
