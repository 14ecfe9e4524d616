/** A list that is read a page at a time, onwards. */

import type { Page } from "./api";

export class Pages<T> {
  items = $state<T[]>([]);
  next = $state<string | undefined>();
  error = $state.raw<unknown>();
  busy = $state(false);
  /** Whether the first page was read. */
  isRead = $state(false);

  /** Which list this is: an answer to a question of before is not shown any more. */
  private turn = 0;

  constructor(private readonly load: (cursor?: string) => Promise<Page<T>>) {}

  async begin(): Promise<void> {
    this.items = [];
    this.isRead = false;
    await this.again();
  }

  /** Begins anew, and shows what there was until the answer is there. */
  async again(): Promise<void> {
    this.turn++;
    this.next = undefined;
    this.busy = false;
    await this.read(true);
  }

  async more(): Promise<void> {
    if (!this.busy) await this.read(false);
  }

  private async read(isFirst: boolean): Promise<void> {
    const turn = this.turn;
    this.busy = true;
    try {
      const page = await this.load(this.next);
      if (turn !== this.turn) return;
      if (isFirst) this.items = page.items;
      else this.items.push(...page.items);
      this.next = page.next;
      this.error = undefined;
      this.isRead = true;
    } catch (error) {
      if (turn !== this.turn) return;
      this.error = error;
    }
    this.busy = false;
  }
}
