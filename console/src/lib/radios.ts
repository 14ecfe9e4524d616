/** Buttons that are a choice of one: the arrow keys choose, and the tabulator goes past them in one step. */

const STEPS: Record<string, number> = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

export function radios(group: HTMLElement): { destroy: () => void } {
  function onkeydown(event: KeyboardEvent) {
    const step = STEPS[event.key];
    const choices = [...group.querySelectorAll<HTMLElement>("[role=radio]")];
    const at = choices.indexOf(document.activeElement as HTMLElement);
    const next = choices[(at + (step ?? 0) + choices.length) % choices.length];
    if (step === undefined || at < 0 || !next) return;
    event.preventDefault();
    next.click();
    next.focus();
  }
  group.addEventListener("keydown", onkeydown);
  return { destroy: () => group.removeEventListener("keydown", onkeydown) };
}
