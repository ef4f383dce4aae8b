// @ts-check
/** Which model is asked, and its card. */

import { html } from "../html.js";
import { useStore } from "../store.js";
import { cards, choose, kindOf, models } from "../work/models.js";
import { ProblemNote, WithCode } from "./text.js";

export function ModelPicker() {
  const { list, chosen, problem } = useStore(models);
  const known = useStore(cards);
  if (!list) return problem ? html`<${ProblemNote} problem=${problem} />` : html`<p class="quiet waiting-models">Asking for the models…</p>`;
  return html`
    <fieldset class="models">
      <legend>What shall it do?</legend>
      ${list.map((model) => html`<${Choice} key=${model.name} model=${model} card=${known[model.name]} chosen=${model.name === chosen} />`)}
    </fieldset>
    ${known[chosen] && html`<${CardOf} card=${known[chosen]} />`}`;
}

/** @param {{model: ModelSummary, card?: ModelCard, chosen: boolean}} props */
function Choice({ model, card, chosen }) {
  const gone = model.state === "unavailable";
  const id = `model-${model.name}`;
  return html`
    <div class="choice">
      <input type="radio" name="model" id=${id} value=${model.name} checked=${chosen} disabled=${gone} onChange=${() => choose(model.name)}
        aria-describedby=${model.problem ? `${id}-problem` : null} />
      <label for=${id}>
        <strong>${kindOf(model, card)}</strong> <span class="title">${model.title}</span> <span class=${`dot ${model.state}`}>${model.state}</span>
      </label>
      ${model.problem && html`<p id=${`${id}-problem`} class="detail"><${WithCode} text=${model.problem} /></p>`}
    </div>`;
}

/** @param {{card: ModelCard}} props */
function CardOf({ card }) {
  const { plan } = card;
  return html`
    <details class="panel model-card">
      <summary>About this model</summary>
      <p>${card.description}</p>
      <dl class="facts">
        <div><dt>name</dt><dd>${card.name}, version ${card.version}</dd></div>
        <div><dt>licence</dt><dd>${card.licence}</dd></div>
        <div><dt>input</dt><dd>${card.input.width} × ${card.input.height}, ${card.input.channels}</dd></div>
        ${card.labels.length > 0 && html`<div><dt>labels</dt><dd>${card.labels.length > 20 ? card.labels.length : card.labels.join(" ")}</dd></div>`}
        ${plan && html`<div><dt>runs in</dt><dd>${plan.engine}, ${plan.precision}, ${plan.streams} × ${plan.threads_per_stream} threads</dd></div>`}
        ${card.accuracy.map(({ metric, value, data }) => html`<div key=${metric}><dt>${metric}</dt><dd>${value} <span class="quiet">${data}</span></dd></div>`)}
      </dl>
      <details><summary>The whole card</summary><pre class="card-text" tabindex="0">${card.card}</pre></details>
    </details>`;
}
