// @ts-check
/** The pictures and their answers. Only the cards in sight are in the page, so that 500 are as quick as five. */

import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { useStore } from "../store.js";
import { asCsv, asJson, asZip, save } from "../work/downloads.js";
import { add, cancelAll, pictures, removeAll, retryFailed } from "../work/pictures.js";
import { PictureCard } from "./card.js";
import { PictureDetail } from "./detail.js";
import { ColourChoice } from "./colours.js";

const CARD_HEIGHT = 348;
const CARD_WIDTH = 232;
const GAP = 16;
const SPARE_ROWS = 1;

/** Which cards are in sight. @param {{current: HTMLElement | null}} element @param {number} count */
function useWindow(element, count) {
  const [range, setRange] = useState({ columns: 1, first: 0, last: 12 });
  useLayoutEffect(() => {
    const look = () => {
      const box = element.current?.getBoundingClientRect();
      if (!box) return;
      const columns = Math.max(1, Math.floor((box.width + GAP) / (CARD_WIDTH + GAP)));
      const row = CARD_HEIGHT + GAP;
      const first = columns * Math.max(0, Math.floor(-box.top / row) - SPARE_ROWS);
      const last = columns * Math.max(1, Math.ceil((innerHeight - box.top) / row) + SPARE_ROWS);
      setRange((old) => (old.columns === columns && old.first === first && old.last === last ? old : { columns, first, last }));
    };
    look();
    const sizes = new ResizeObserver(look);
    if (element.current) sizes.observe(element.current);
    sizes.observe(document.body); // what is above may grow
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look);
    return () => { sizes.disconnect(); removeEventListener("scroll", look); removeEventListener("resize", look); };
  }, [count > 0]);
  return range;
}

/** @param {{model?: ModelSummary}} props */
export function Gallery({ model }) {
  const all = useStore(pictures);
  const [opened, setOpened] = useState(0);
  const [colour, setColour] = useState("");
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const { columns, first, last } = useWindow(list, all.length);
  if (!all.length) return null;
  const rows = Math.ceil(all.length / columns);
  const detail = all.find(({ id }) => id === opened);
  return html`
    <section class="answers" aria-labelledby="answers-title">
      <${Toolbar} all=${all} colour=${colour} />
      <div class="extras">
        ${all.some(({ model: { task } }) => task === "background-removal") && html`<${ColourChoice} colour=${colour} onChange=${setColour} />`}
        <${AskToo} all=${all} model=${model} />
      </div>
      <ul class="cards" ref=${list} style=${{ height: `${rows * (CARD_HEIGHT + GAP) - GAP}px`, "--columns": columns }}>
        ${all.slice(first, last).map((picture, index) => html`
          <${PictureCard} key=${picture.id} picture=${picture} colour=${colour} onOpen=${setOpened} count=${all.length} number=${first + index + 1}
            row=${Math.floor((first + index) / columns)} column=${(first + index) % columns} columns=${columns} height=${CARD_HEIGHT} gap=${GAP} />`)}
      </ul>
      ${detail && html`<${PictureDetail} key=${detail.id} picture=${detail} colour=${colour} onColour=${setColour} onClose=${() => setOpened(0)} />`}
    </section>`;
}

/** The pictures that are here, for another model. @param {{all: Picture[], model?: ModelSummary}} props */
function AskToo({ all, model }) {
  if (!model) return null;
  const asked = new Set(all.filter((picture) => picture.model.name === model.name).map(({ file }) => file));
  const unasked = [...new Set(all.map(({ file }) => file))].filter((file) => !asked.has(file));
  if (!unasked.length) return null;
  return html`<button type="button" class="plain small" onClick=${() => add(unasked, model)}>Ask ${model.title} about ${unasked.length === 1 ? "this picture" : `these ${unasked.length}`} too</button>`;
}

/** @param {{all: Picture[], colour: string}} props */
function Toolbar({ all, colour }) {
  const count = (/** @type {string[]} */ ...states) => all.filter(({ state }) => states.includes(state)).length;
  const over = count("done", "failed", "cancelled");
  const wrong = count("failed", "cancelled");
  const [packing, setPacking] = useState(false);
  const pack = async () => {
    setPacking(true);
    try { save(await asZip(all, colour), "heliograph.zip"); } finally { setPacking(false); }
  };
  return html`
    <div class="toolbar">
      <h2 id="answers-title">Answers</h2>
      <p class="quiet" role="status" aria-live="polite" data-done=${over}>${over < all.length ? `${over} of ${all.length} done` : `${all.length} done`}${wrong ? `, ${wrong} without answer` : ""}</p>
      <progress class=${over < all.length ? "" : "over"} max=${all.length} value=${over} aria-label="Pictures done"></progress>
      <div class="actions">
        ${over < all.length && html`<button type="button" class="plain small" onClick=${cancelAll}>Cancel all</button>`}
        ${wrong > 0 && html`<button type="button" class="plain small" onClick=${retryFailed}>Try ${wrong === 1 ? "it" : `${wrong}`} again</button>`}
        <button type="button" class="plain small" disabled=${packing} onClick=${pack}>${packing ? "Packing…" : "Zip"}</button>
        <button type="button" class="plain small" onClick=${() => save(asCsv(all), "heliograph.csv")}>CSV</button>
        <button type="button" class="plain small" onClick=${() => save(asJson(all), "heliograph.json")}>JSON</button>
        <button type="button" class="plain small" onClick=${removeAll}>Clear</button>
      </div>
    </div>`;
}
