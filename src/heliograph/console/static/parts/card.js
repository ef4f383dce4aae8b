// @ts-check
/** One picture and its answer, always of the same size. */

import { html, useMemo } from "../html.js";
import { fileSize, isCharacter, suffixOf } from "../work/answers.js";
import { saveCutout } from "../work/downloads.js";
import { cancel, remove, retry } from "../work/pictures.js";
import { LabelBars, PhaseBar } from "./labels.js";
import { BeforeAfter } from "./slider.js";
import { WithCode } from "./text.js";

/** @typedef {{picture: Picture, colour: string, onOpen: (id: number) => void, number: number, count: number, row: number, column: number, columns: number, height: number, gap: number}} CardProps */

/** @param {CardProps} props */
export function PictureCard({ picture, colour, onOpen, number, count, row, column, columns, height, gap }) {
  const place = {
    height: `${height}px`,
    width: `calc((100% - ${(columns - 1) * gap}px) / ${columns})`,
    left: `calc(${column} * (100% + ${gap}px) / ${columns})`,
    top: `${row * (height + gap)}px`,
  };
  // What stays as it was is not compared again, though others change many times a second.
  return useMemo(() => html`
    <li class=${`card ${picture.state}`} style=${place} aria-setsize=${count} aria-posinset=${number} aria-label=${picture.name}>
      <${Stage} picture=${picture} colour=${colour} />
      <button type="button" class="close" aria-label=${`Remove ${picture.name}`} onClick=${() => remove(picture.id)}>×</button>
      <div class="text">
        <h3><button type="button" class="name" title=${picture.name} onClick=${() => onOpen(picture.id)}>${picture.name}</button></h3>
        <${Body} picture=${picture} colour=${colour} />
      </div>
    </li>`, [picture, colour, number, count, row, column, columns]);
}

/** @param {{picture: Picture, colour: string}} props */
function Stage({ picture, colour }) {
  const { answer, before, after } = picture;
  if (answer?.kind === "cutout" && after) {
    return html`<div class="stage tall"><${BeforeAfter} before=${before || after} after=${after} name=${picture.name} colour=${colour} size=${picture.size} /></div>`;
  }
  const character = answer?.kind === "labels" && isCharacter(answer.labels[0]?.label ?? "") ? answer.labels[0].label : "";
  const thumbnail = before === null ? null : before
    ? html`<img class="thumbnail" src=${before} alt="" draggable=${false} />`
    : html`<span class="no-thumbnail">${suffixOf(picture.name)}</span>`;
  return html`<div class=${`stage ${character ? "beside" : ""}`}>${thumbnail}${character && html`<span class="character" lang="ja">${character}</span>`}</div>`;
}

/** @param {{picture: Picture, colour: string}} props */
function Body({ picture, colour }) {
  const { id, state, answer, problem, note, size } = picture;
  if (state === "done" && answer) {
    return html`
      ${answer.kind === "labels" ? html`<${LabelBars} labels=${answer.labels.slice(0, 3)} />` : html`
        <p class="foot"><span>${size ? `${size[0]} × ${size[1]}, ` : ""}${fileSize(answer.picture.size)}</span>
          <button type="button" class="button small" aria-label=${`Download the cut-out of ${picture.name}`} onClick=${() => saveCutout(picture, colour)}>Download</button></p>`}
      <${PhaseBar} trace=${answer.trace} />`;
  }
  if (state === "failed" && problem) {
    return html`
      <p class="problem">${problem.title}</p>
      <p class="detail clamp"><${WithCode} text=${problem.detail} /></p>
      <p class="foot"><button type="button" class="plain small" onClick=${() => retry(id)}>Try again</button><code>${problem.code}</code></p>`;
  }
  if (state === "cancelled") {
    return html`<p class="quiet">Cancelled</p><p class="foot"><button type="button" class="plain small" onClick=${() => retry(id)}>Ask again</button></p>`;
  }
  return html`
    <p class="quiet">${note || (state === "asking" ? "Being answered…" : "Waits for its turn")}</p>
    <p class="foot"><button type="button" class="plain small" aria-label=${`Cancel ${picture.name}`} onClick=${() => cancel(id)}>Cancel</button></p>`;
}
