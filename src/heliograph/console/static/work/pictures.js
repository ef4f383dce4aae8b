// @ts-check
/** The pictures on the page: a few are asked about at a time, each can be cancelled and asked about again. */

import { connection } from "../live.js";
import { Store } from "../store.js";
import { predict } from "../api.js";
import { textOf } from "../problem.js";
import { readAnswer } from "./answers.js";
import { answerAsJob, asJobs } from "./batches.js";
import { smallCopy } from "./copies.js";
import { checkReadable, patiently } from "./patience.js";

const AT_A_TIME = 4;

/** @type {Store<Picture[]>} */
export const pictures = new Store(/** @type {Picture[]} */ ([]));
/** The last picture that was asked about, for the commands that do the same. @type {Store<Picture | null>} */
export const lastAsked = new Store(/** @type {Picture | null} */ (null));

/** The newest state of each; the store gets it once a frame. @type {Map<number, Picture>} */
const all = new Map();
/** @type {Map<number, AbortController>} */
const running = new Map();
/** @type {number[]} */
let waiting = [];
/** How they are shown: what came last is on top, in the order in which it came. @type {number[]} */
let order = [];
let nextId = 1;
let asked = 0;
let told = false;

function tell() {
  if (told) return;
  told = true;
  setTimeout(() => { told = false; pictures.set(order.flatMap((id) => all.get(id) ?? [])); }, 40);
}

/** @param {number} id @param {Partial<Picture>} changes */
function change(id, changes) {
  const picture = all.get(id);
  if (!picture) return;
  all.set(id, { ...picture, ...changes });
  tell();
}

/** Asks a model about files. @param {File[]} files @param {ModelSummary} model */
export function add(files, model) {
  const asJob = asJobs.value && connection.value !== "none";
  order = [...files.map((_, index) => nextId + index), ...order];
  for (const file of files) {
    const id = nextId++;
    all.set(id, { id, file, name: file.name, model, asJob, state: "waiting", note: "", before: null, after: null, size: null, answer: null, problem: null });
    waiting.push(id);
    showBefore(id, file);
  }
  tell();
  next();
}

/** @param {number} id @param {File} file */
async function showBefore(id, file) {
  const copy = await smallCopy(file, "question");
  if (!all.has(id)) URL.revokeObjectURL(copy?.address ?? "");
  else change(id, { before: copy?.address ?? "", size: copy?.size ?? null });
}

/** Jobs wait in the service's queue, the others here. */
function next() {
  waiting = waiting.filter((id) => {
    const picture = all.get(id);
    if (picture && !picture.asJob && asked >= AT_A_TIME) return true;
    if (picture) start(picture);
    return false;
  });
}

/** @param {Picture} picture */
async function start({ id, asJob }) {
  if (!asJob) asked++;
  await work(id);
  running.delete(id);
  if (!asJob) asked--;
  next();
}

/** @param {number} id */
async function work(id) {
  const picture = /** @type {Picture} */ (all.get(id));
  const stop = new AbortController();
  running.set(id, stop);
  change(id, { state: "asking", note: "" });
  try {
    const answer = await answerOf(picture, stop.signal);
    const after = answer.kind === "cutout" ? (await smallCopy(answer.picture, "answer"))?.address ?? "" : null;
    if (!all.has(id) && after) URL.revokeObjectURL(after);
    change(id, { state: "done", note: "", answer, after });
    lastAsked.set(all.get(id) ?? lastAsked.value);
  } catch (error) {
    if (stop.signal.aborted) change(id, { state: "cancelled", note: "" });
    else change(id, { state: "failed", note: "", problem: textOf(error) });
  }
}

/** @param {Picture} picture @param {AbortSignal} signal @returns {Promise<Answer>} */
async function answerOf(picture, signal) {
  const note = (/** @type {string} */ text) => change(picture.id, { note: text });
  if (picture.asJob) return answerAsJob(picture, signal, note);
  const send = async () => {
    await checkReadable(picture.file);
    return predict(picture.model, picture.file, picture.name, signal);
  };
  return readAnswer(await patiently(send, signal, note));
}

/** @param {number} id */
export function cancel(id) {
  waiting = waiting.filter((other) => other !== id);
  running.get(id)?.abort();
  if (all.get(id)?.state === "waiting") change(id, { state: "cancelled" });
}

export function cancelAll() {
  for (const { id, state } of [...all.values()]) if (state === "waiting" || state === "asking") cancel(id);
}

/** @param {number} id */
export function retry(id) {
  change(id, { state: "waiting", note: "", problem: null });
  waiting.push(id);
  next();
}

export function retryFailed() {
  for (const { id, state } of [...all.values()]) if (state === "failed" || state === "cancelled") retry(id);
}

/** @param {number} id */
export function remove(id) {
  cancel(id);
  const picture = all.get(id);
  for (const address of [picture?.before, picture?.after]) if (address) URL.revokeObjectURL(address);
  all.delete(id);
  order = order.filter((other) => other !== id);
  tell();
}

export function removeAll() {
  for (const id of order) remove(id);
}
