// @ts-check
/** The workers as tiles; one that is stopped is asked for first. */

import { html, useState } from "../html.js";
import { absolute, stopWorker } from "../api.js";
import { textOf } from "../problem.js";
import { age } from "../work/answers.js";
import { loadFleet } from "../work/fleet.js";
import { Dialog } from "./dialog.js";
import { Command, ProblemNote } from "./text.js";

const LEAVING = ["stopping", "gone"];

/** @param {{workers: FleetWorker[] | null, mayChange: boolean}} props */
export function Workers({ workers, mayChange }) {
  const [asked, setAsked] = useState("");
  const here = workers?.filter(({ state }) => state !== "gone").length ?? 0;
  return html`
    <section class="panel workers" aria-labelledby="workers-title">
      <div class="panel-head"><h2 id="workers-title">Workers</h2><p class="quiet" role="status">${workers ? summary(workers) : "Asking…"}</p></div>
      <ul class="tiles">
        ${workers?.map((worker) => html`<${Tile} key=${worker.name} worker=${worker} onStop=${mayChange && !LEAVING.includes(worker.state) ? setAsked : null} />`)}
      </ul>
      ${workers && here === 0 && html`<p class="quiet">No worker runs. One starts when there is work, if the bounds allow it.</p>`}
      ${asked && html`<${StopDialog} name=${asked} onClose=${() => setAsked("")} />`}
    </section>`;
}

/** @param {FleetWorker[]} workers */
function summary(workers) {
  const states = ["ready", "busy", "starting", "stopping", "gone"];
  const counted = states.map((state) => [workers.filter((worker) => worker.state === state).length, state]);
  return counted.filter(([count]) => count).map(([count, state]) => `${count} ${state}`).join(", ") || "none";
}

/** @param {{worker: FleetWorker, onStop: ((name: string) => void) | null}} props */
function Tile({ worker, onStop }) {
  const { name, state, host, pid, holding, finished, started_at: since, reason } = worker;
  const content = html`
    <span class="tile-head"><span class=${`dot ${state}`}>${state}</span></span>
    <strong class="tile-name">${name}</strong>
    <span class="tile-numbers">${!(state === "gone" && finished === 0) && html`<span><b>${holding}</b> in hand</span><span><b>${finished.toLocaleString("en")}</b> done</span>`}</span>
    <span class="detail">${reason || `${host}${pid ? `, pid ${pid}` : ""}${since ? `, since ${age(since)}` : ""}`}</span>`;
  return html`<li class=${`tile ${state}`}>
    ${content}
    ${onStop && html`<button type="button" class="stop" onClick=${() => onStop(name)}>Stop <span class="hidden">${name}</span></button>`}
  </li>`;
}

/** @param {{name: string, onClose: () => void}} props */
function StopDialog({ name, onClose }) {
  const [problem, setProblem] = useState(/** @type {ProblemText | null} */ (null));
  const [busy, setBusy] = useState(false);
  const stop = async () => {
    setBusy(true);
    try {
      await stopWorker(name);
      onClose();
      await loadFleet();
    } catch (error) {
      setProblem(textOf(error));
      setBusy(false);
    }
  };
  return html`
    <${Dialog} title="Stop this worker?" onClose=${onClose} narrow>
      <p><strong>${name}</strong> finishes what it has in hand or hands it back; no picture is lost. If the bounds want it, another one starts in its place.</p>
      <${Command} text=${`curl -X DELETE ${absolute(`v1/fleet/workers/${encodeURIComponent(name)}`)}`} name="The same as a command" />
      ${problem && html`<${ProblemNote} problem=${problem} />`}
      <div class="actions">
        <button type="button" class="button bad" disabled=${busy} onClick=${stop}>${busy ? "Stopping…" : "Stop it"}</button>
        <button type="button" class="plain" onClick=${onClose}>Keep it</button>
      </div>
    <//>`;
}
