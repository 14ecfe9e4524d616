/** Who is signed in. The proof is a cookie that no script can read; the page knows only what the server says of it. */

import { ApiError, call, whenSignedOut } from "./api";
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

whenSignedOut(() => {
  if (state.session) state.ended = true;
  forgetPortraits();
  state.session = null;
});

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
    state.session = found.tenant === undefined ? null : (found as Session);
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
  state.session = await call<Session>("POST", "/session", { json: proof });
  state.ended = state.isLinkUsed = false;
  state.failure = undefined;
}

export async function signOut(): Promise<void> {
  try {
    await call("DELETE", "/session");
  } finally {
    forgetPortraits();
    state.session = null;
    state.ended = false;
  }
}
