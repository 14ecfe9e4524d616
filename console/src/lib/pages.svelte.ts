/** A list that is read a page at a time, onwards. */

import type { Page } from "./api";

export class Pages<T> {
  items = $state<T[]>([]);
  next = $state<string | undefined>();
  error = $state.raw<unknown>();
  busy = $state(false);
  /** Whether the first page was read. */
  isRead = $state(false);

  constructor(private readonly load: (cursor?: string) => Promise<Page<T>>) {}

  async begin(): Promise<void> {
    this.items = [];
    this.next = undefined;
    this.isRead = false;
    await this.more();
  }

  async more(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      const page = await this.load(this.next);
      this.items.push(...page.items);
      this.next = page.next;
      this.error = undefined;
      this.isRead = true;
    } catch (error) {
      this.error = error;
    }
    this.busy = false;
  }
}
