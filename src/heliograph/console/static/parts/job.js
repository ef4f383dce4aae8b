// @ts-check
/** One job: how it stands, what it answered, and what can be done with it. */

import { html, useEffect, useState } from "../html.js";
import { jobResult, requeueJob, withdrawJob } from "../api.js";
import { problemOf, textOf } from "../problem.js";
import { readAnswer, timeOf, totalOf } from "../work/answers.js";
import { useAddress } from "./detail.js";
import { Dialog } from "./dialog.js";
import { LabelBars, PhaseTable } from "./labels.js";
import { ProblemNote } from "./text.js";

const UNFINISHED = ["queued", "running"];

/** @param {{job: Job, onClose: () => void, onChange: () => Promise<void>}} props */
export function JobDetail({ job, onClose, onChange }) {
  const [answer, setAnswer] = useState(/** @type {Answer | null} */ (null));
  const [problem, setProblem] = useState(/** @type {ProblemText | null} */ (null));
  const picture = useAddress(answer?.kind === "cutout" ? answer.picture : null);
  useEffect(() => {
    setAnswer(null);
    if (job.state !== "done" || job.expired) return;
    jobResult(job.id)
      .then(async (response) => { if (!response.ok) throw await problemOf(response); setAnswer(await readAnswer(response)); })
      .catch((error) => setProblem(textOf(error)));
  }, [job.id, job.state, job.expired]);
  const change = async (/** @type {(id: string) => Promise<unknown>} */ act) => {
    setProblem(null);
    try { await act(job.id); } catch (error) { setProblem(textOf(error)); }
    await onChange();
  };
  const told = answer && totalOf(answer.trace) > 0 ? answer.trace : null;
  return html`
    <${Dialog} title=${job.name} onClose=${onClose} narrow=${!picture}>
      <div class="detail-view">
        ${picture && html`<div class="big-stage checkerboard"><img src=${picture} alt=${`The answer to ${job.name}`} /></div>`}
        <div class="about">
          <p><span class=${`dot ${job.state}`}>${job.state}</span></p>
          ${answer?.kind === "labels" && html`<${LabelBars} labels=${answer.labels} />`}
          ${job.expired && html`<p class="quiet">Its result was there and is gone.</p>`}
          ${(problem ?? job.problem) && html`<${ProblemNote} problem=${/** @type {ProblemText} */ (problem ?? job.problem)} />`}
          <dl class="facts">
            <div><dt>model</dt><dd>${job.model}</dd></div>
            <div><dt>priority</dt><dd>${job.priority}</dd></div>
            <div><dt>attempts</dt><dd>${job.attempts}</dd></div>
            ${!told && html`<div><dt>worker</dt><dd>${job.worker || "–"}</dd></div>`}
            <div><dt>accepted</dt><dd>${timeOf(job.accepted_at)}</dd></div>
            <div><dt>started</dt><dd>${timeOf(job.started_at)}</dd></div>
            <div><dt>finished</dt><dd>${timeOf(job.finished_at)}</dd></div>
            <div><dt>job</dt><dd><code>${job.id}</code></dd></div>
            <div><dt>group</dt><dd><code>${job.group}</code></dd></div>
          </dl>
          ${told && html`<${PhaseTable} trace=${told} />`}
          <div class="actions">
            ${UNFINISHED.includes(job.state) && html`<button type="button" class="button bad" onClick=${() => change(withdrawJob)}>Cancel the job</button>`}
            ${job.state === "dead" && html`<button type="button" class="button" onClick=${() => change(requeueJob)}>Requeue</button>`}
            ${job.state === "done" && !job.expired && html`<button type="button" class="plain" onClick=${() => change(withdrawJob)}>Remove its result</button>`}
          </div>
        </div>
      </div>
    <//>`;
}
