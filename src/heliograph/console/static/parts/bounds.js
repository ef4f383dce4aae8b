// @ts-check
/** How many workers there may be. */

import { html, useEffect, useState } from "../html.js";
import { scaleFleet } from "../api.js";
import { textOf } from "../problem.js";
import { loadFleet } from "../work/fleet.js";
import { ProblemNote } from "./text.js";

/** @param {{bounds: {min: number, max: number} | null, mayChange: boolean, isKnown: boolean}} props */
export function Bounds({ bounds, mayChange, isKnown }) {
  const [wanted, setWanted] = useState(/** @type {{min: number, max: number} | null} */ (null));
  const [said, setSaid] = useState(/** @type {{text: string, problem: ProblemText | null}} */ ({ text: "", problem: null }));
  useEffect(() => setWanted(null), [bounds?.min, bounds?.max]);
  const shown = wanted ?? bounds;
  const isNew = !!wanted && !!bounds && (wanted.min !== bounds.min || wanted.max !== bounds.max);
  const apply = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!wanted) return;
    try {
      const action = await scaleFleet(wanted.min, wanted.max);
      setSaid({ text: `${action.what}: ${action.outcome}`, problem: null });
      await loadFleet();
    } catch (error) {
      setSaid({ text: "", problem: textOf(error) });
    }
  };
  const set = (/** @type {"min" | "max"} */ which, /** @type {number} */ value) => {
    if (!shown) return;
    const number = Math.min(1000, Math.max(0, value || 0));
    setWanted(which === "min" ? { min: number, max: Math.max(number, shown.max) } : { min: Math.min(number, shown.min), max: number });
  };
  return html`
    <section class="panel bounds" aria-labelledby="bounds-title">
      <div class="panel-head"><h2 id="bounds-title">How many</h2></div>
      <p class="quiet">Between the two the backlog decides.</p>
      ${!isKnown ? html`<p class="quiet">Asking…</p>` : !shown ? html`<p class="quiet">Nobody here decides that.</p>` : html`
        <form onSubmit=${apply}>
          <${Stepper} name="At least" value=${shown.min} disabled=${!mayChange} onChange=${(/** @type {number} */ value) => set("min", value)} />
          <${Stepper} name="At most" value=${shown.max} disabled=${!mayChange} onChange=${(/** @type {number} */ value) => set("max", value)} />
          <button class="button" disabled=${!mayChange || !isNew}>Apply</button>
        </form>`}
      ${isKnown && !mayChange && html`<p class="quiet">Workers can be seen from here, not changed.</p>`}
      <p class="detail" role="status">${said.text}</p>
      ${said.problem && html`<${ProblemNote} problem=${said.problem} />`}
    </section>`;
}

/** @param {{name: string, value: number, disabled: boolean, onChange: (value: number) => void}} props */
function Stepper({ name, value, disabled, onChange }) {
  const id = `bounds-${name.replace(" ", "-")}`;
  return html`
    <div class="stepper">
      <label for=${id}>${name}</label>
      <button type="button" class="plain icon" disabled=${disabled || value <= 0} aria-label=${`${name}: one less`} onClick=${() => onChange(value - 1)}>−</button>
      <input id=${id} type="number" min="0" max="1000" value=${value} disabled=${disabled} onInput=${(/** @type {Event} */ event) => onChange(Number(/** @type {HTMLInputElement} */ (event.target).value))} />
      <button type="button" class="plain icon" disabled=${disabled} aria-label=${`${name}: one more`} onClick=${() => onChange(value + 1)}>+</button>
    </div>`;
}
