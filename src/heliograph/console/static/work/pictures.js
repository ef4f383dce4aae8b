// @ts-check
/** The pictures on the page: a few are asked about at a time, each can be cancelled and asked about again. */

import { connection } from "../live.js";
import { Store } from "../store.js";
import { predict } from "../api.js";
import { Problem, pause, problemOf, textOf } from "../problem.js";
import { readAnswer } from "./answers.js";
import { smallCopy } from "./copies.js";

const AT_A_TIME = 4;
const BUSY_ATTEMPTS = 10;
const BUSY = [429, 503];
const MAX_PAUSE_SECONDS = 30;
const UNREACHABLE_SECONDS = 1.5;

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
  order = [...files.map((_, index) => nextId + index), ...order];
  for (const file of files) {
    const id = nextId++;
    all.set(id, { id, file, name: file.name, model, state: "waiting", note: "", before: null, after: null, size: null, answer: null, problem: null });
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

function next() {
  while (running.size < AT_A_TIME && waiting.length) {
    const id = /** @type {number} */ (waiting.shift());
    if (all.has(id)) work(id).finally(() => { running.delete(id); next(); });
  }
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

/** Waits and asks again while the service is too busy or cannot be reached. @param {Picture} picture @param {AbortSignal} signal @returns {Promise<Answer>} */
async function answerOf(picture, signal) {
  for (let attempt = 1; ; ) {
    try {
      const response = await predict(picture.model, picture.file, picture.name, signal);
      if (response.ok) return await readAnswer(response);
      const problem = await problemOf(response);
      // Weights that are missing do not come by waiting.
      if (!BUSY.includes(response.status) || problem.code === "model-unavailable" || attempt++ === BUSY_ATTEMPTS) throw problem;
      const wanted = Number(response.headers.get("Retry-After") ?? NaN);
      const seconds = Math.min(wanted > 0 ? wanted : 2, MAX_PAUSE_SECONDS);
      change(picture.id, { note: `The service is busy. Next try in ${Math.ceil(seconds)} s.` });
      await pause(seconds, signal);
    } catch (error) {
      if (!(error instanceof Problem && error.code === "unreachable") || !(await isReadable(picture.file))) throw error;
      if (connection.value === "live") connection.set("lost");
      change(picture.id, { note: "No connection. It goes on by itself." });
      await pause(UNREACHABLE_SECONDS, signal);
    }
    change(picture.id, { note: "" });
  }
}

/** Whether a file is still where it was: one that is not fails as if the network did. @param {File} file */
async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    throw new Problem("The file cannot be read", "It was moved or changed after you chose it.", "file-unreadable");
  }
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
