// @ts-check
/** Jobs: list, filter, inspect, cancel, requeue. */

import { html, useEffect, useRef, useState } from "../html.js";
import { absolute, listJobs } from "../api.js";
import { connection, onEvent } from "../live.js";
import { Problem, textOf } from "../problem.js";
import { Command, ProblemNote } from "../parts/text.js";
import { JobDetail } from "../parts/job.js";
import { duration, timeOf } from "../work/answers.js";

const STATES = ["queued", "running", "done", "failed", "dead", "cancelled"];
const CHANGES = ["accepted", "started", "done", "failed", "dead", "cancelled", "returned", "requeued", "counts", "snapshot"];
const AGAIN_MILLISECONDS = 700;
const ASK_SECONDS = 5;

/** @typedef {{jobs: Job[] | null, next: string, problem: ProblemText | null, absent: boolean}} Listed */

/** The newest jobs, followed; older ones on request. @param {string} state */
function useJobs(state) {
  const [listed, setListed] = useState(/** @type {Listed} */ ({ jobs: null, next: "", problem: null, absent: false }));
  const older = useRef(/** @type {Job[]} */ ([]));
  const load = async () => {
    try {
      const page = await listJobs({ state });
      const ids = new Set(page.jobs.map(({ id }) => id));
      setListed((old) => ({ jobs: [...page.jobs, ...older.current.filter(({ id }) => !ids.has(id))], next: older.current.length ? old.next : page.next ?? "", problem: null, absent: false }));
    } catch (error) {
      const absent = error instanceof Problem && error.code === "needs-queue-mode";
      setListed((old) => ({ ...old, absent, problem: absent ? null : textOf(error) }));
    }
  };
  const more = async () => {
    const page = await listJobs({ state, cursor: listed.next });
    older.current = [...(listed.jobs ?? []), ...page.jobs];
    setListed({ ...listed, jobs: older.current, next: page.next ?? "" });
  };
  useEffect(() => {
    let timer = 0;
    older.current = [];
    load();
    const soon = () => { timer ||= setTimeout(() => { timer = 0; load(); }, AGAIN_MILLISECONDS); };
    const end = onEvent(({ name }) => { if (CHANGES.includes(name)) soon(); });
    const slowly = setInterval(() => { if (connection.value !== "live" && !document.hidden) soon(); }, 1000 * ASK_SECONDS);
    return () => { clearTimeout(timer); clearInterval(slowly); end(); };
  }, [state]);
  return { ...listed, load, more };
}

export function JobsPage() {
  const [state, setState] = useState("");
  const [text, setText] = useState("");
  const [opened, setOpened] = useState("");
  const { jobs, next, problem, absent, load, more } = useJobs(state);
  const wanted = text.trim().toLowerCase();
  const shown = jobs?.filter((job) => !wanted || [job.name, job.model, job.worker ?? "", job.id, job.group].some((part) => part.toLowerCase().includes(wanted))) ?? [];
  const job = jobs?.find(({ id }) => id === opened);
  if (absent) return html`<h1>Jobs</h1><p class="panel">Jobs need a queue, and this service has none: it answers pictures while you wait. <code>mode: queue</code> of the chart adds one.</p>`;
  return html`
    <h1>Jobs</h1>
    <section class="panel jobs" aria-label="Jobs">
      <div class="filters">
        <div class="choices" role="group" aria-label="State">
          ${["", ...STATES].map((name) => html`<button key=${name} type="button" class="plain small" aria-pressed=${state === name} onClick=${() => setState(name)}>${name || "all"}</button>`)}
        </div>
        <input type="search" placeholder="Name, model, worker, id" aria-label="Filter by name, model, worker or id" value=${text} onInput=${(/** @type {Event} */ event) => setText(/** @type {HTMLInputElement} */ (event.target).value)} />
      </div>
      ${problem && html`<${ProblemNote} problem=${problem} />`}
      <p class="quiet" role="status">${jobs ? `${shown.length} shown${next ? ", there are more" : ""}` : "Asking…"}</p>
      ${jobs && !shown.length ? html`<${NoJobs} isFiltered=${!!state || !!wanted} />` : html`<${Table} jobs=${shown} onOpen=${setOpened} />`}
      ${next && html`<button type="button" class="plain" onClick=${more}>Older ones</button>`}
    </section>
    ${job && html`<${JobDetail} job=${job} onClose=${() => setOpened("")} onChange=${load} />`}`;
}

/** @param {{isFiltered: boolean}} props */
function NoJobs({ isFiltered }) {
  if (isFiltered) return html`<p class="empty">No job is like that.</p>`;
  return html`<div class="empty"><p>No jobs yet. A job is a picture that is answered later; up to 500 go into one request:</p>
    <${Command} text=${`curl -F image=@cat.jpg -F image=@dog.jpg ${absolute("v1/jobs")}`} name="How to send jobs" /></div>`;
}

/** @param {Job} job */
const took = (job) => (job.finished_at ? duration(Date.parse(job.finished_at) - Date.parse(job.accepted_at)) : "");

/** @param {{jobs: Job[], onOpen: (id: string) => void}} props */
function Table({ jobs, onOpen }) {
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="List of jobs">
      <table>
        <thead><tr><th scope="col">Name</th><th scope="col">State</th><th scope="col">Model</th><th scope="col">Worker</th><th scope="col">Accepted</th><th scope="col" class="number">Took</th></tr></thead>
        <tbody>${jobs.map((job) => html`
          <tr key=${job.id}>
            <th scope="row"><button type="button" class="name" onClick=${() => onOpen(job.id)}>${job.name}</button></th>
            <td><span class=${`dot ${job.state}`}>${job.state}</span></td><td>${job.model}</td><td>${job.worker}</td><td>${timeOf(job.accepted_at)}</td><td class="number">${took(job)}</td>
          </tr>`)}</tbody>
      </table>
    </div>`;
}
