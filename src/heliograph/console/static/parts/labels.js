// @ts-check
/** Labels with bars as long as they are likely, and where the time of a picture went. */

import { html } from "../html.js";
import { duration, percent, shortName, totalOf } from "../work/answers.js";

/** @param {{labels: Label[]}} props */
export function LabelBars({ labels }) {
  return html`<ol class="labels">${labels.map(({ label, probability }) => html`
    <li key=${label} style=${{ "--share": probability }}>
      <span class="label" title=${label}>${label}</span><span class="percent">${percent(probability)}</span>
    </li>`)}</ol>`;
}

/** @param {{trace: Trace}} props */
export function PhaseBar({ trace }) {
  const total = totalOf(trace);
  const words = trace.phases.map(({ name, ms }) => `${name} ${duration(ms)}`).join(", ");
  return html`
    <div class="trace" title=${`${words}${trace.worker && ` · ${trace.worker}`}`}>
      <span class="phases" role="img" aria-label=${words}>${trace.phases.map(({ name, ms }) => html`
        <span key=${name} class=${name} style=${{ "--share": total ? ms / total : 0 }}></span>`)}</span>
      <span class="numbers"><span>${duration(total)}</span><span class="worker">${shortName(trace.worker)}</span></span>
    </div>`;
}

/** @param {{trace: Trace}} props */
export function PhaseTable({ trace }) {
  return html`<dl class="facts">
    ${trace.phases.map(({ name, ms }) => html`<div key=${name}><dt class=${`phase ${name}`}>${name}</dt><dd>${duration(ms)}</dd></div>`)}
    <div><dt>together</dt><dd>${duration(totalOf(trace))}</dd></div>
    <div><dt>worker</dt><dd>${trace.worker || "–"}</dd></div>
  </dl>`;
}
