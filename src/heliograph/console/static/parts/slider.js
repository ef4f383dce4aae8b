// @ts-check
/** A picture before and after, one over the other; the line between them is dragged, or moved by keys. */

import { html, useState } from "../html.js";

/** @param {{before: string, after: string, name: string, colour: string, size: [number, number] | null}} props */
export function BeforeAfter({ before, after, name, colour, size }) {
  const [at, setAt] = useState(50);
  const move = (/** @type {InputEvent} */ event) => setAt(Number(/** @type {HTMLInputElement} */ (event.target).value));
  return html`
    <div class="before-after checkerboard" style=${{ "--at": `${at}%`, "--ratio": size ? size[0] / size[1] : 1 }}>
      <span class="behind" style=${{ background: colour || "transparent" }}></span>
      <img class="after" src=${after} alt=${`${name} without its background`} draggable=${false} />
      <img class="before" src=${before} alt="" draggable=${false} />
      <span class="line" aria-hidden="true"></span>
      <input type="range" min="0" max="100" value=${at} onInput=${move} aria-label=${`Before and after: ${name}`} aria-valuetext=${`${at} % before`} />
    </div>`;
}
