/** Something that is asked for and may be asked for again: its answer, its refusal, and whether it is under way. */

export class Loader<T> {
  data = $state.raw<T | undefined>();
  error = $state.raw<unknown>();
  busy = $state(false);
  #stop: AbortController | undefined;

  /** Runs `work`; an earlier run that is still under way is given up. */
  async run(work: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
    this.#stop?.abort();
    const stop = new AbortController();
    this.#stop = stop;
    this.busy = true;
    try {
      const data = await work(stop.signal);
      if (stop.signal.aborted) return undefined;
      this.data = data;
      this.error = undefined;
      this.busy = false;
      return data;
    } catch (error) {
      if (stop.signal.aborted) return undefined;
      this.error = error;
      this.busy = false;
      return undefined;
    }
  }

  clear(): void {
    this.#stop?.abort();
    this.data = undefined;
    this.error = undefined;
    this.busy = false;
  }
}

/** Runs `work` on each of `items`, a few at a time, in their order. */
export async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
