/** The title of the window: what is looked at first, then its place, so that tabs can be told apart. */

import { untrack } from "svelte";

interface Part {
  /** Parts of outer components have the smaller number. */
  order: number;
  words: readonly string[];
}

let next = 0;
let parts = $state.raw<readonly Part[]>([]);

/** What is looked at, the innermost first. */
export function titleWords(): string[] {
  return parts.toSorted((a, b) => b.order - a.order).flatMap((part) => part.words);
}

/** While this component is shown, the title has these words; to be called when it is made. */
export function titled(words: () => (string | undefined)[]): void {
  const order = next++;
  $effect(() => {
    const part = { order, words: words().filter((word): word is string => !!word) };
    untrack(() => (parts = [...parts, part]));
    return () => (parts = parts.filter((one) => one !== part));
  });
}
