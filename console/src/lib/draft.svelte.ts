/**
 * What somebody changes of a thing that others may change at the same time. Only changed values are sent, on the condition
 * that nobody else was quicker; whoever was is shown, and it is up to the reader to go on.
 */

import { ApiError } from "./api";

/** Values of a form by the names of its fields. */
export type Values = Record<string, string>;

/** A thing of the server, with the tag of the state it is in. */
export interface Tagged {
  etag?: string;
}

/** A value that somebody else changed while the form was open. */
export interface Change {
  name: string;
  /** As it was when it was read first. */
  before: string;
  theirs: string;
  /** Whether the reader changed it too, so that saving would overwrite the other's. */
  isContested: boolean;
}

export interface Source<T extends Tagged> {
  /** The values that can be changed. */
  values: (thing: T) => Values;
  read: () => Promise<T>;
  /** Changes some of the values, if the state still has the tag `ifMatch`. */
  write: (changes: Values, ifMatch?: string) => Promise<T>;
}

export class Draft<T extends Tagged> {
  /** What the form shows. */
  now = $state<Values>({});
  /** What others changed since the form was opened, after a save was refused for it. */
  others = $state.raw<Change[]>([]);
  busy = $state(false);
  error = $state.raw<unknown>();
  #base = $state.raw<Values>({});
  #etag: string | undefined;

  constructor(
    private readonly source: Source<T>,
    thing?: T,
  ) {
    if (thing) this.follow(thing);
  }

  /** Whether there is anything to save. */
  get isChanged(): boolean {
    return Object.keys(this.#changes()).length > 0;
  }

  /** Takes the state of the server for what the reader has not changed. */
  follow(thing: T): void {
    const values = this.source.values(thing);
    for (const [name, value] of Object.entries(values)) {
      if (this.now[name] === undefined || this.now[name] === this.#base[name]) this.now[name] = value;
    }
    this.#base = values;
    this.#etag = thing.etag;
  }

  /** Takes the value of somebody else instead of the reader's own. */
  yield(change: Change): void {
    this.now[change.name] = change.theirs;
    this.others = this.others.map((one) => (one === change ? { ...one, isContested: false } : one));
  }

  /**
   * Saves what was changed, and returns the new state with a way back; `undefined` where it was refused, which `error` or
   * `others` then tell of.
   */
  async save(): Promise<{ thing: T; undo: () => Promise<T> } | undefined> {
    this.busy = true;
    this.error = undefined;
    const changes = this.#changes();
    const before = Object.fromEntries(Object.keys(changes).map((name) => [name, this.#base[name] ?? ""]));
    try {
      const thing = await this.source.write(changes, this.#etag);
      this.others = [];
      this.follow(thing);
      const undo = async () => {
        const restored = await this.source.write(before, thing.etag);
        this.follow(restored);
        return restored;
      };
      return { thing, undo };
    } catch (problem) {
      if (problem instanceof ApiError && problem.status === 412) await this.#meet(problem);
      else this.error = problem;
    } finally {
      this.busy = false;
    }
    return undefined;
  }

  /** Somebody else was quicker: reads what they made of it. */
  async #meet(problem: ApiError): Promise<void> {
    const before = this.#base;
    const mine = this.#changes();
    try {
      const thing = await this.source.read();
      const theirs = this.source.values(thing);
      const changed = Object.entries(theirs).filter(([name, value]) => value !== before[name]);
      this.follow(thing);
      this.others = changed.map(([name, value]) => ({
        name,
        before: before[name] ?? "",
        theirs: value,
        isContested: mine[name] !== undefined && mine[name] !== value,
      }));
      // What else they changed is nothing that this form shows: saving again says all there is to say.
      if (changed.length === 0) this.error = problem;
    } catch (error) {
      this.error = error;
    }
  }

  #changes(): Values {
    return Object.fromEntries(Object.entries(this.now).filter(([name, value]) => value !== this.#base[name]));
  }
}
