// @ts-check
/** A picture at its full size, with all that was said of it. */

import { html, useEffect, useState } from "../html.js";
import { fileSize, isCharacter } from "../work/answers.js";
import { saveCutout } from "../work/downloads.js";
import { ColourChoice } from "./colours.js";
import { Dialog } from "./dialog.js";
import { LabelBars, PhaseTable } from "./labels.js";
import { BeforeAfter } from "./slider.js";
import { ProblemNote } from "./text.js";

/** An object URL for as long as it is shown. @param {Blob | null} blob */
export function useAddress(blob) {
  const [address, setAddress] = useState("");
  useEffect(() => {
    if (!blob) return;
    const made = URL.createObjectURL(blob);
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  return address;
}

/** @param {{picture: Picture, colour: string, onColour: (colour: string) => void, onClose: () => void}} props */
export function PictureDetail({ picture, colour, onColour, onClose }) {
  const { name, file, answer, problem, size, model, before, asJob } = picture;
  const question = useAddress(before === "" ? null : file);
  const result = useAddress(answer?.kind === "cutout" ? answer.picture : null);
  const character = answer?.kind === "labels" && isCharacter(answer.labels[0]?.label ?? "");
  return html`
    <${Dialog} title=${name} onClose=${onClose}>
      <div class="detail-view">
        <div class="big-stage">
          ${result ? html`<${BeforeAfter} before=${question || result} after=${result} name=${name} colour=${colour} size=${size} />`
            : question && html`<img src=${question} alt=${name} />`}
        </div>
        <div class="about">
          ${character && html`<p class="character" lang="ja">${answer.labels[0].label}</p>`}
          ${answer?.kind === "labels" && html`<${LabelBars} labels=${answer.labels} />`}
          ${answer?.kind === "cutout" && html`
            <${ColourChoice} colour=${colour} onChange=${onColour} />
            <p><button type="button" class="button" onClick=${() => saveCutout(picture, colour)}>Download the cut-out</button></p>`}
          ${problem && html`<${ProblemNote} problem=${problem} />`}
          <dl class="facts">
            <div><dt>model</dt><dd>${model.title}</dd></div>
            ${size && html`<div><dt>pixels</dt><dd>${size[0]} × ${size[1]}</dd></div>`}
            <div><dt>file</dt><dd>${fileSize(file.size)}</dd></div>
            ${asJob && html`<div><dt>sent</dt><dd>as a job</dd></div>`}
          </dl>
          ${answer && html`<${PhaseTable} trace=${answer.trace} />`}
        </div>
      </div>
    <//>`;
}
