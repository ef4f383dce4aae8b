// @ts-check
/** Pictures as jobs: many go into one request, the service's news tell when they are over, then the answers are fetched. */

import { jobResult, showGroup, submitJobs, withdrawJob } from "../api.js";
import { onEvent } from "../live.js";
import { Problem } from "../problem.js";
import { Store } from "../store.js";
import { readAnswer } from "./answers.js";
import { checkReadable, patiently } from "./patience.js";

const MAX_PICTURES = 50;
const MAX_BYTES = 30e6; // of one request; services take 64 MB
const MAX_NAME = 200;
const GATHER_MILLISECONDS = 30;
const LOOK_MILLISECONDS = 300;
const PATIENCE_SECONDS = 10; // what hangs longer is given up, another look comes
const EVERY_SECONDS = 3;
const FETCHES = 3;
const SPLIT = [413, 415, 422]; // one picture may be at fault
const ENDS = ["done", "failed", "dead", "cancelled"];

/** Whether pictures are sent as jobs. */
export const asJobs = new Store(false);

/** @typedef {{id: string, group: string}} Place */
/** @typedef {{picture: Picture, signal: AbortSignal, note: (text: string) => void, resolve: (place: Place) => void, reject: (error: unknown) => void}} Unsent */
/** @typedef {{resolve: (job: Job) => void, reject: (error: unknown) => void, note: (text: string) => void}} Awaited */

/** @type {Unsent[]} */
const unsent = [];
/** Requests leave one after the other. @type {Promise<unknown>} */
let sending = Promise.resolve();
/** Those that are not over, by group and job. @type {Map<string, Map<string, Awaited>>} */
const groups = new Map();
/** @type {Set<string>} */
const looked = new Set();
let timer = 0;
/** @type {Promise<unknown>[]} */
const lanes = Array.from({ length: FETCHES }, () => Promise.resolve());
let lane = 0;

/** The answer to a picture that is sent as a job. @param {Picture} picture @param {AbortSignal} signal cancels the job @param {(text: string) => void} note @returns {Promise<Answer>} */
export async function answerAsJob(picture, signal, note) {
  const place = submitted(picture, signal, note);
  const stopped = new Promise((_, reject) => {
    signal.addEventListener("abort", () => {
      reject(signal.reason);
      place.then(({ id }) => withdrawJob(id)).catch(() => {}); // it expires by itself
    }, { once: true });
  });
  const { id, group } = /** @type {Place} */ (await Promise.race([place, stopped]));
  const job = await final(id, group, signal, note);
  if (job.problem) throw new Problem(job.problem.title, job.problem.detail, job.problem.code);
  if (job.state === "cancelled") throw new Problem("The job was cancelled", "", "job-cancelled");
  note("Its answer is fetched");
  return inTurn(async () => readAnswer(await patiently(() => jobResult(id, signal), signal, note)));
}

/** @param {Picture} picture @param {AbortSignal} signal @param {(text: string) => void} note @returns {Promise<Place>} */
function submitted(picture, signal, note) {
  note("Waits to be sent");
  return new Promise((resolve, reject) => {
    unsent.push({ picture, signal, note, resolve, reject });
    if (unsent.length === 1) setTimeout(sendAll, GATHER_MILLISECONDS);
  });
}

function sendAll() {
  for (const batch of batches(unsent.splice(0))) sending = sending.then(() => send(batch));
}

/** Pieces for one model that fit into a request. @param {Unsent[]} all */
function batches(all) {
  /** @type {Unsent[][]} */
  const made = [];
  let bytes = Infinity;
  for (const one of all) {
    const last = made.at(-1);
    bytes += one.picture.file.size;
    if (last && bytes <= MAX_BYTES && last.length < MAX_PICTURES && last[0].picture.model.name === one.picture.model.name) last.push(one);
    else { made.push([one]); bytes = one.picture.file.size; }
  }
  return made;
}

/** @param {Unsent[]} batch */
async function send(batch) {
  /** @type {Unsent[]} */
  const ready = [];
  for (const one of batch) {
    try { one.signal.throwIfAborted(); await checkReadable(one.picture.file); ready.push(one); } catch (error) { one.reject(error); }
  }
  if (!ready.length) return;
  const stop = new AbortController();
  const check = () => { if (ready.every(({ signal }) => signal.aborted)) stop.abort(); };
  for (const { signal } of ready) signal.addEventListener("abort", check);
  const names = distinct(ready.map(({ picture }) => picture.name));
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const note = (/** @type {string} */ text) => { for (const one of ready) one.note(text || "Being sent"); };
  note("");
  try {
    const body = ready.map(({ picture }, index) => ({ file: picture.file, name: names[index] }));
    const response = await patiently(() => submitJobs(ready[0].picture.model, body, key, stop.signal), stop.signal, note);
    settle(ready, names, await response.json());
  } catch (error) {
    const half = Math.ceil(ready.length / 2);
    if (ready.length === 1 || !(error instanceof Problem && SPLIT.includes(error.status))) for (const { reject } of ready) reject(error);
    else { await send(ready.slice(0, half)); await send(ready.slice(half)); }
  } finally {
    for (const { signal } of ready) signal.removeEventListener("abort", check);
  }
}

/** Names that the service gives back as they are, no two of them alike. @param {string[]} names */
function distinct(names) {
  const used = new Set();
  return names.map((name) => {
    const plain = name.slice(-MAX_NAME).replace(/["\\\p{Cc}\p{Cs}]/gu, "_") || "picture";
    let own = plain;
    for (let number = 2; used.has(own); number++) own = plain.replace(/(\.[^.]*)?$/, ` (${number})$1`);
    used.add(own);
    return own;
  });
}

/** @param {Unsent[]} batch @param {string[]} names @param {Receipt} receipt */
function settle(batch, names, { group, jobs, refused }) {
  const problems = new Map(refused.map(({ name, problem }) => [name, problem]));
  const taken = jobs.values();
  for (const [index, { resolve, reject }] of batch.entries()) {
    const problem = problems.get(names[index]);
    const job = problem ? null : taken.next().value;
    if (job) resolve({ id: job.id, group });
    else reject(new Problem(problem?.title ?? "It was not taken in", problem?.detail ?? "", problem?.code ?? "http"));
  }
}

/** The job once it is over. @param {string} id @param {string} group @param {AbortSignal} signal @param {(text: string) => void} note @returns {Promise<Job>} */
function final(id, group, signal, note) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const awaited = groups.get(group) ?? new Map();
    groups.set(group, awaited.set(id, { resolve, reject, note }));
    signal.addEventListener("abort", () => { reject(signal.reason); forget(group, id); }, { once: true });
    look(group);
  });
}

/** @param {string} group @param {string} id */
function forget(group, id) {
  groups.get(group)?.delete(id);
  if (!groups.get(group)?.size) groups.delete(group);
}

/** Looks at a group soon, or at all. @param {string} [group] */
function look(group) {
  for (const each of group ? [group] : groups.keys()) if (groups.has(each)) looked.add(each);
  if (looked.size) timer ||= setTimeout(async () => {
    const now = [...looked];
    looked.clear();
    try { for (const each of now) await lookAt(each); } finally { timer = 0; }
    if (looked.size) look([...looked][0]);
  }, LOOK_MILLISECONDS);
}

/** @param {string} group */
async function lookAt(group) {
  try {
    for (const job of await showGroup(group, AbortSignal.timeout(1000 * PATIENCE_SECONDS))) {
      const awaited = groups.get(group)?.get(job.id);
      awaited?.note(job.state === "running" ? `With ${job.worker ?? "a worker"}` : "Queued as a job");
      if (!awaited || !ENDS.includes(job.state)) continue;
      forget(group, job.id);
      awaited.resolve(job);
    }
  } catch (error) {
    if (!(error instanceof Problem) || ![404, 410].includes(error.status)) return; // another look will tell
    for (const { reject } of groups.get(group)?.values() ?? []) reject(error);
    groups.delete(group);
  }
}

/** Few at a time. @template T @param {() => Promise<T>} fetchOne @returns {Promise<T>} */
function inTurn(fetchOne) {
  lane = (lane + 1) % FETCHES;
  const fetched = lanes[lane].then(fetchOne);
  lanes[lane] = fetched.catch(() => {});
  return fetched;
}

onEvent(({ name, data }) => {
  if (data.group) look(data.group);
  else if (["counts", "snapshot", "reset"].includes(name)) look();
});
setInterval(() => look(), 1000 * EVERY_SECONDS);
