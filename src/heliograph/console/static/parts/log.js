// @ts-check
/** What was done to the fleet, each with the command that does the same. */

import { html } from "../html.js";
import { duration, timeOf } from "../work/answers.js";
import { CopyButton } from "./text.js";

/** @param {FleetAction} action */
const tookOf = ({ seconds }) => (seconds == null ? "" : seconds < 0.001 ? "at once" : `in ${duration(1000 * seconds)}`);

/** @param {{actions: FleetAction[]}} props */
export function ActionLog({ actions }) {
  return html`
    <section class="panel log" aria-labelledby="log-title">
      <div class="panel-head"><h2 id="log-title">What was done</h2></div>
      ${actions.length === 0 && html`<p class="quiet">Nothing yet. Every stop and every change of bounds is noted here.</p>`}
      <ol class="rows" tabindex="0" aria-label="Actions, newest first">${actions.map((action) => html`
        <li key=${action.at + action.what}>
          <time datetime=${action.at}>${timeOf(action.at)}</time>
          <div class="did">
            <p><strong>${action.what}</strong> <span class="detail">${action.who && `by ${action.who} `}${tookOf(action)}</span></p>
            <p class="command-line"><code>${action.command}</code> <${CopyButton} text=${action.command} /></p>
          </div>
          <span class=${`outcome ${action.outcome === "ok" ? "ok" : "bad"}`}>${action.outcome}</span>
        </li>`)}</ol>
    </section>`;
}
