/** Short words on what was done, with a way back where there is one. */

export interface Toast {
  id: number;
  text: string;
  undo?: () => Promise<void>;
}

const SHOWN_MS = 9000;
let next = 0;
const list = $state<Toast[]>([]);

export function toasts(): readonly Toast[] {
  return list;
}

export function toast(text: string, undo?: () => Promise<void>): void {
  const id = next++;
  list.push({ id, text, undo });
  setTimeout(() => dismiss(id), SHOWN_MS);
}

export function dismiss(id: number): void {
  const place = list.findIndex((toast) => toast.id === id);
  if (place >= 0) list.splice(place, 1);
}
