// @ts-check
/** Fleet: the workers, how many there may be, how it goes, and what was done. */

import { html, useEffect } from "../html.js";
import { mayOperate, session } from "../session.js";
import { useStore } from "../store.js";
import { fleet, watchFleet } from "../work/fleet.js";
import { Bounds } from "../parts/bounds.js";
import { Charts } from "../parts/charts.js";
import { DeadJobs } from "../parts/dead.js";
import { ActionLog } from "../parts/log.js";
import { OneProcess } from "../parts/alone.js";
import { ProblemNote } from "../parts/text.js";
import { Workers } from "../parts/workers.js";

export function FleetPage() {
  useEffect(watchFleet, []);
  const { status, log, dead, absent, refused, problem } = useStore(fleet);
  const { caller } = useStore(session);
  const mayChange = mayOperate(caller) && !!status && !status.read_only;
  if (absent) return html`<h1>Fleet</h1><${OneProcess} />`;
  if (refused) return html`<h1>Fleet</h1><p class="panel">Your key may send pictures. To see the fleet a key needs the scope <code>operate</code>.</p>`;
  return html`
    <h1>Fleet</h1>
    ${problem && html`<${ProblemNote} problem=${problem} />`}
    ${status?.obstacle && html`<p class="notice" role="status">${status.obstacle}</p>`}
    <div class="fleet">
      <div>
        <${Workers} workers=${status?.workers ?? null} mayChange=${mayChange} />
        <${Charts} />
      </div>
      <div>
        <${Bounds} bounds=${status?.bounds ?? null} mayChange=${mayChange} isKnown=${!!status} />
        <${ActionLog} actions=${log} />
        <${DeadJobs} jobs=${dead} />
      </div>
    </div>`;
}
