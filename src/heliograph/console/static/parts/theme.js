// @ts-check
/** Light, dark, or as the machine has it. */

import { html, useState } from "../html.js";
import { Store } from "../store.js";

const NAME = "heliograph-theme";
const NEXT = { auto: "light", light: "dark", dark: "auto" };
const SIGNS = { auto: "◐", light: "☀", dark: "☾" };
/** Changes when colours do. */
export const colours = new Store(0);

/** @returns {keyof typeof NEXT} */
function stored() {
  try {
    const name = localStorage.getItem(NAME) ?? "auto";
    return name in NEXT ? /** @type {keyof typeof NEXT} */ (name) : "auto";
  } catch {
    return "auto";
  }
}

/** @param {keyof typeof NEXT} theme */
function apply(theme) {
  document.documentElement.dataset.theme = theme;
  colours.set(colours.value + 1);
}

apply(stored());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => colours.set(colours.value + 1));

export function ThemeChoice() {
  const [theme, setTheme] = useState(stored());
  const change = () => {
    const next = /** @type {keyof typeof NEXT} */ (NEXT[theme]);
    try { localStorage.setItem(NAME, next); } catch { /* then it lasts until the page is left */ }
    apply(next);
    setTheme(next);
  };
  return html`<button type="button" class="plain icon" onClick=${change} aria-label=${`Colours: ${theme}`} title=${`Colours: ${theme}`}>${SIGNS[theme]}</button>`;
}
