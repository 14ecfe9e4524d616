/** Light, dark, or what the system says. Kept in the browser's storage: it is no secret. */

export type Theme = "system" | "light" | "dark";

const STORED = "likeness.theme";
const chosen = $state<{ theme: Theme }>({ theme: "system" });

export function theme(): Theme {
  return chosen.theme;
}

export function setTheme(theme: Theme): void {
  chosen.theme = theme;
  localStorage.setItem(STORED, theme);
  apply();
}

export function start(): void {
  const stored = localStorage.getItem(STORED);
  if (stored === "light" || stored === "dark") chosen.theme = stored;
  apply();
}

function apply(): void {
  const root = document.documentElement;
  if (chosen.theme === "system") delete root.dataset.theme;
  else root.dataset.theme = chosen.theme;
}
