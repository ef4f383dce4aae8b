// @ts-check
/** Jobs whose attempts are used up, with their reason. */

import { html, useState } from "../html.js";
import { requeueJob } from "../api.js";
import { textOf } from "../problem.js";
import { timeOf } from "../work/answers.js";
import { loadFleet } from "../work/fleet.js";
import { ProblemNote } from "./text.js";

/** @param {{jobs: Job[]}} props */
export function DeadJobs({ jobs }) {
  const [problem, setProblem] = useState(/** @type {ProblemText | null} */ (null));
  const requeue = async (/** @type {Job[]} */ some) => {
    setProblem(null);
    try {
      for (const { id } of some) await requeueJob(id);
    } catch (error) {
      setProblem(textOf(error));
    }
    await loadFleet();
  };
  return html`
    <section class="panel dead" aria-labelledby="dead-title">
      <div class="panel-head"><h2 id="dead-title">Dead jobs</h2>
        ${jobs.length > 1 && html`<button type="button" class="plain small" onClick=${() => requeue(jobs)}>Requeue all ${jobs.length}</button>`}</div>
      ${jobs.length === 0 && html`<p class="quiet">None. A job is dead when its attempts are used up; it can be requeued then.</p>`}
      ${problem && html`<${ProblemNote} problem=${problem} />`}
      <ul class="rows">${jobs.map((job) => html`
        <li key=${job.id}>
          <div><strong>${job.name}</strong> <span class="detail">${job.model}, ${job.attempts} attempts, ${timeOf(job.finished_at)}</span>
            <p class="detail">${job.problem?.title}${job.problem && job.problem.detail !== job.problem.title ? `: ${job.problem.detail}` : ""}</p></div>
          <button type="button" class="plain small" aria-label=${`Requeue ${job.name}`} onClick=${() => requeue([job])}>Requeue</button>
        </li>`)}</ul>
    </section>`;
}
