/** Every place of the console: its address, its name, what a key must be allowed to do to see it, and its page. */

import type { Component } from "svelte";
import type { IconName } from "../components/Icon.svelte";
import type { Key } from "./i18n.svelte";
import { can, session, type Grant } from "./session.svelte";

export interface Place {
  /** First segment of its path. */
  segment: string;
  title: Key;
  icon: IconName;
  /** Heading of the group in which the navigation shows it. */
  group: Key;
  /** One of these sets of grants is enough. */
  needs: Grant[][];
  /** Reached from another place, not from the navigation. */
  isInner?: boolean;
  /** Not for keys that have this grant, which reach it from another place. */
  unless?: Grant;
  /** Not for keys of some face sets only. */
  wholeTenant?: boolean;
  load: () => Promise<{ default: Component }>;
}

export const PLACES: readonly Place[] = [
  { segment: "", title: "nav.sets", icon: "sets", group: "nav.group.library", needs: [["read"]], load: () => import("../pages/Sets.svelte") },
  { segment: "sets", title: "nav.sets", icon: "sets", group: "nav.group.library", isInner: true, needs: [["read"], ["enrol"]], load: () => import("../pages/SetPage.svelte") },
  { segment: "enrol", title: "set.tab.enrol", icon: "upload", group: "nav.group.library", needs: [["enrol"]], unless: "read", load: () => import("../pages/Enrol.svelte") },
  { segment: "persons", title: "nav.persons", icon: "persons", group: "nav.group.library", needs: [["read"]], load: () => import("../pages/Persons.svelte") },
  { segment: "review", title: "nav.review", icon: "review", group: "nav.group.library", needs: [["read", "search"]], load: () => import("../pages/Review.svelte") },
  { segment: "search", title: "nav.search", icon: "search", group: "nav.group.look", needs: [["search"]], load: () => import("../pages/Search.svelte") },
  { segment: "compare", title: "nav.compare", icon: "compare", group: "nav.group.look", needs: [["search"]], load: () => import("../pages/Compare.svelte") },
  { segment: "detect", title: "nav.detect", icon: "detect", group: "nav.group.look", needs: [["search"]], load: () => import("../pages/Detect.svelte") },
  { segment: "liveness", title: "nav.liveness", icon: "liveness", group: "nav.group.look", needs: [["search"]], load: () => import("../pages/Liveness.svelte") },
  { segment: "jobs", title: "nav.jobs", icon: "jobs", group: "nav.group.server", needs: [["read"]], load: () => import("../pages/Jobs.svelte") },
  { segment: "keys", title: "nav.keys", icon: "keys", group: "nav.group.server", needs: [["manage"]], wholeTenant: true, load: () => import("../pages/Keys.svelte") },
  { segment: "health", title: "nav.health", icon: "health", group: "nav.group.server", needs: [[]], load: () => import("../pages/Health.svelte") },
  { segment: "settings", title: "nav.settings", icon: "settings", group: "nav.group.server", needs: [["manage"]], wholeTenant: true, load: () => import("../pages/Settings.svelte") },
  { segment: "api", title: "nav.api", icon: "api", group: "nav.group.server", needs: [[]], load: () => import("../pages/Api.svelte") },
];

export function isAllowed(place: Place): boolean {
  return place.needs.some((grants) => can(...grants)) && !(place.wholeTenant && session()?.face_sets);
}

/** The places that the navigation shows, of which the first is where one arrives. */
export function shownPlaces(): Place[] {
  return PLACES.filter((place) => !place.isInner && isAllowed(place) && !(place.unless && can(place.unless)));
}
