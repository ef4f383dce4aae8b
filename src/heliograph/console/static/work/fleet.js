// @ts-check
/** The fleet as it stands, asked for again whenever news of it come and every few seconds while somebody looks. */

import { fleetLog, listJobs, showFleet } from "../api.js";
import { onEvent } from "../live.js";
import { Problem, textOf } from "../problem.js";
import { Store } from "../store.js";

const EVERY_SECONDS = 2;
const GONE_SECONDS = 30;
const SOON_MILLISECONDS = 150;

/**
 * `absent`: this process has no fleet; `refused`: the key does not allow to see it.
 * @typedef {{status: FleetStatus | null, log: FleetAction[], dead: Job[], absent: boolean, refused: boolean, problem: ProblemText | null}} Fleet
 */
export const fleet = new Store(/** @type {Fleet} */ ({ status: null, log: [], dead: [], absent: false, refused: false, problem: null }));

/** Workers that are not listed any more, and when they were last. @type {Map<string, {worker: FleetWorker, until: number}>} */
const vanished = new Map();

/** The workers by name, those that have just gone included: nothing jumps. @param {FleetWorker[]} workers */
function withGone(workers) {
  const names = new Set(workers.map(({ name }) => name));
  const finished = new Map(fleet.value.status?.workers.map((worker) => [worker.name, worker.finished]));
  for (const worker of fleet.value.status?.workers ?? []) {
    if (!names.has(worker.name) && !vanished.has(worker.name)) {
      vanished.set(worker.name, { worker: { ...worker, state: "gone", holding: 0 }, until: Date.now() + 1000 * GONE_SECONDS });
    }
  }
  for (const [name, { until }] of vanished) if (names.has(name) || until < Date.now()) vanished.delete(name);
  const kept = workers.map((worker) => (worker.state === "gone" ? { ...worker, finished: Math.max(worker.finished, finished.get(worker.name) ?? 0) } : worker));
  return [...kept, ...[...vanished.values()].map(({ worker }) => worker)].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
}

export async function loadFleet() {
  try {
    const status = await showFleet();
    const [log, dead] = await Promise.all([fleetLog(), listJobs({ state: "dead" })]);
    fleet.set({ status: { ...status, workers: withGone(status.workers) }, log, dead: dead.jobs, absent: false, refused: false, problem: null });
  } catch (error) {
    const code = error instanceof Problem ? error.code : "";
    if (code === "needs-queue-mode") fleet.merge({ absent: true, problem: null });
    else if (code === "scope-missing") fleet.merge({ refused: true, problem: null });
    else fleet.merge({ problem: textOf(error) });
  }
}

/** Keeps the fleet fresh. @returns {() => void} ends it */
export function watchFleet() {
  let soon = 0;
  let busy = false;
  const load = async () => {
    if (busy || document.hidden) return;
    busy = true;
    await loadFleet().finally(() => { busy = false; });
  };
  const timer = setInterval(() => { if (!fleet.value.absent && !fleet.value.refused) load(); }, 1000 * EVERY_SECONDS);
  const end = onEvent(({ name }) => {
    if (!name.startsWith("worker-") && !["fleet", "dead", "requeued", "snapshot"].includes(name)) return;
    clearTimeout(soon);
    soon = setTimeout(load, SOON_MILLISECONDS);
  });
  load();
  return () => { clearInterval(timer); clearTimeout(soon); end(); };
}
