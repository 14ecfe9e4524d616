/** Where we are: path and query below `/console`. Every place has an address that can be shared. */

const BASE = "/console";

const here = $state({ path: "/", query: new URLSearchParams() });

/** The address of what is shown. */
let address = "";

function read(): void {
  address = location.pathname + location.search;
  here.path = decodePath(location.pathname.slice(BASE.length)) || "/";
  here.query = new URLSearchParams(location.search);
}

function decodePath(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, "") : path;
}

read();

/** What a page would lose, as a question to the reader; `undefined` where there is nothing. */
let losing: (() => string | undefined) | undefined;

/** Has the reader asked before they leave a page that holds their work. Ends with the function that is returned. */
export function askBeforeLeaving(question: () => string | undefined): () => void {
  const onUnload = (event: BeforeUnloadEvent) => question() && event.preventDefault();
  losing = question;
  addEventListener("beforeunload", onUnload);
  return () => {
    losing = undefined;
    removeEventListener("beforeunload", onUnload);
  };
}

function mayLeave(): boolean {
  const question = losing?.();
  return !question || confirm(question);
}

addEventListener("popstate", () => {
  if (mayLeave()) read();
  else history.pushState(null, "", address);
});

export function path(): string {
  return here.path;
}

/** Decoded segments of the path, in the form in which names are stored: a link may have been written in another one. */
export function segments(): string[] {
  return here.path
    .split("/")
    .filter(Boolean)
    .map((segment) => {
      try {
        return decodeURIComponent(segment).normalize();
      } catch {
        return segment;
      }
    });
}

export function query(name: string): string {
  return (here.query.get(name) ?? "").normalize();
}

/** The address of a place, for links. */
export function href(segments: string[] | string, query: Record<string, string> = {}): string {
  const path = typeof segments === "string" ? segments : `/${segments.map(encodeURIComponent).join("/")}`;
  const words = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "")).toString();
  return `${BASE}${path}${words ? `?${words}` : ""}`;
}

export function go(address: string, options: { replace?: boolean } = {}): void {
  if (options.replace) history.replaceState(null, "", address);
  else {
    history.pushState(null, "", address);
    scrollTo(0, 0);
  }
  read();
}

/** Changes the query of this place without a new entry in the history. */
export function setQuery(changes: Record<string, string>): void {
  const query = Object.fromEntries(here.query);
  go(href(here.path, { ...query, ...changes }), { replace: true });
}

/** Makes links within the console change the place without loading the page anew. */
export function onLinkClick(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const link = (event.target as Element | null)?.closest?.("a");
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (link.pathname !== BASE && !link.pathname.startsWith(`${BASE}/`)) return;
  if (link.hash && link.pathname === location.pathname) return;
  event.preventDefault();
  if (!mayLeave()) return;
  go(link.pathname + link.search);
  // A screen reader should start where the new page starts.
  requestAnimationFrame(() => document.querySelector<HTMLElement>("main")?.focus({ preventScroll: true }));
}
