// @ts-check
/** What is put behind cut-outs. */

import { html } from "../html.js";

const COLOURS = [["", "Transparent"], ["#ffffff", "White"], ["#16130e", "Black"], ["#f6c453", "Amber"], ["#7aa5d8", "Blue"]];

/** @param {{colour: string, onChange: (colour: string) => void}} props */
export function ColourChoice({ colour, onChange }) {
  const own = !COLOURS.some(([value]) => value === colour);
  return html`
    <div class="colour-choice" role="group" aria-label="Behind cut-outs">
      <span class="quiet">Behind</span>
      ${COLOURS.map(([value, name]) => html`
        <button key=${name} type="button" class=${`swatch ${value ? "" : "checkerboard"}`} style=${{ "--swatch": value || "transparent" }} title=${name}
          aria-label=${name} aria-pressed=${value === colour} onClick=${() => onChange(value)}></button>`)}
      <input type="color" class="swatch" aria-label="Another colour" title="Another colour" value=${own ? colour : "#88aa77"} onInput=${(/** @type {Event} */ event) => onChange(/** @type {HTMLInputElement} */ (event.target).value)} />
    </div>`;
}
