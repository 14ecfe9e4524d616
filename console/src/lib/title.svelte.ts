/** The title of the window: what is looked at first, then its place, so that tabs can be told apart. */

/** Words of components that are shown, by the order in which these were made: outer ones have the smaller number. */
const parts = new Map<number, string[]>();
let next = 0;

/** Counts changes of `parts`, for whoever shows them. */
let nChanges = 0;
let version = $state(0);

function change(order: number, words: string[] | undefined): void {
  if (words) parts.set(order, words);
  else parts.delete(order);
  version = ++nChanges;
}

/** What is looked at, the innermost first. */
export function titleWords(): string[] {
  void version;
  return [...parts].sort(([a], [b]) => b - a).flatMap(([, words]) => words);
}

/** While this component is shown, the title has these words; to be called when it is made. */
export function titled(words: () => (string | undefined)[]): void {
  const order = next++;
  $effect(() => {
    change(order, words().filter((word): word is string => !!word));
    return () => change(order, undefined);
  });
}
