// @ts-check
/** The last minutes in numbers: as the service tells them, or reckoned from its other news where it does not. */

import { connection, onEvent } from "../live.js";
import { Store } from "../store.js";
import { fleet } from "./fleet.js";

const KEPT = 180;
const EVERY_SECONDS = 2;
const JOB_EVENTS = ["accepted", "started", "done", "failed", "dead", "cancelled", "returned", "requeued"];
const OVER = ["done", "failed", "dead", "cancelled"];

/** @type {Store<Numbers[]>} */
export const numbers = new Store(/** @type {Numbers[]} */ ([]));

/** What is known where the service sends no numbers. */
const known = { waiting: 0, running: 0, accepted: 0, finished: 0, dead: 0 };
let heardAt = 0;

/** @param {Numbers} moment */
const note = (moment) => numbers.set([...numbers.value.slice(1 - KEPT), moment]);

/** @param {any} queue as a snapshot tells it */
function count(queue) {
  if (!queue) return;
  const backlog = /** @type {{waiting: number, running: number}[]} */ (Object.values(queue.backlog));
  known.waiting = backlog.reduce((sum, { waiting }) => sum + waiting, 0);
  known.running = backlog.reduce((sum, { running }) => sum + running, 0);
  known.accepted = queue.accepted;
  known.finished = Object.values(queue.finished).reduce((sum, each) => sum + each, 0);
  known.dead = queue.finished.dead ?? 0;
}

/** @param {string} kind @param {number} jobs */
function happened(kind, jobs) {
  if (kind === "accepted") { known.accepted += jobs; known.waiting += jobs; }
  if (kind === "requeued") known.waiting += jobs;
  if (kind === "started") { known.waiting -= jobs; known.running += jobs; }
  if (kind === "returned") { known.running -= jobs; known.waiting += jobs; }
  if (OVER.includes(kind)) { known.finished += jobs; known.running -= jobs; }
  if (kind === "dead") known.dead += jobs;
  known.waiting = Math.max(0, known.waiting);
  known.running = Math.max(0, known.running);
}

/** Listens from now on. */
export function watchNumbers() {
  onEvent(({ name, data }) => {
    if (name === "numbers") { heardAt = Date.now(); note(data); }
    else if (name === "snapshot") count(data.queue);
    else if (name === "counts") for (const [kind, jobs] of Object.entries(data.counts)) happened(kind, jobs);
    else if (JOB_EVENTS.includes(name)) happened(name, data.jobs.length);
  });
  setInterval(() => {
    if (connection.value !== "live" || Date.now() - heardAt < 2500 * EVERY_SECONDS) return;
    /** @type {Record<string, number>} */
    const workers = {};
    for (const { state } of fleet.value.status?.workers ?? []) workers[state] = (workers[state] ?? 0) + 1;
    note({ at: new Date().toISOString(), ...known, workers, p95_seconds: null });
  }, 1000 * EVERY_SECONDS);
}
