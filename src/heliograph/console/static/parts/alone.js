// @ts-check
/** What one process has, and what more of them would add. */

import { html, useEffect, useState } from "../html.js";
import { connection, onEvent } from "../live.js";
import { useStore } from "../store.js";
import { models } from "../work/models.js";
import { Command } from "./text.js";

export function OneProcess() {
  const { list } = useStore(models);
  const [alone, setAlone] = useState(/** @type {FleetWorker | null} */ (null));
  const hasEvents = useStore(connection) !== "none";
  useEffect(() => onEvent(({ name, data }) => { if (name === "snapshot" && data.workers?.length) setAlone(data.workers[0]); }), []);
  return html`
    <div class="alone">
      <section class="panel"><div class="panel-head"><h2>Here: one process</h2></div>
        <p>It takes pictures and answers them${hasEvents ? ", and keeps jobs in its memory" : " while you wait"}. There are no workers to stop and nothing to scale from here.</p>
        <ul class="plans">${list?.map(({ name, title, state, plan }) => html`
          <li key=${name}><span class=${`dot ${state}`}>${state}</span><strong>${title}</strong>
            <span class="detail">${plan ? `${plan.engine}, ${plan.precision}, ${plan.streams} × ${plan.threads_per_stream} threads` : ""}</span></li>`)}</ul>
        ${alone && html`<p class="detail">${alone.name}: ${alone.finished} jobs finished</p>`}
      </section>
      <section class="panel"><div class="panel-head"><h2>With more processes</h2></div>
        <p><strong>Never lost:</strong> gateway, workers and a queue that keeps every job. Kill any of them; every picture that was accepted is answered once.</p>
        <${Command} text="heliograph up --workers 2" name="On this machine" />
        <p><strong>Scaled and watched:</strong> on Kubernetes workers come and go with the backlog; this page stops and scales them.</p>
        <${Command} text="scripts/deploy --mode queue --set fleet.actions=true" name="On Kubernetes" />
      </section>
    </div>`;
}
