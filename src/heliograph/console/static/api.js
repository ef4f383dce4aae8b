// @ts-check
/** The service behind this page: the only file that knows its addresses. */

import { Problem, problemOf, reach } from "./problem.js";

/** A key that no cookie stands for: services without sessions want it with every request. */
let key = "";
/** @type {Promise<void> | null} */
let asking = null;
/** @type {(refused: boolean) => Promise<void>} */
let askForKey = () => Promise.reject(new Problem("An API key is needed", "", "key-missing"));

/** Says who asks the person for a key; it calls `signIn`. @param {(refused: boolean) => Promise<void>} ask */
export function onKeyWanted(ask) {
  askForKey = ask;
}

/** Addresses are relative, so that the page works below any path. @param {string} path */
export const absolute = (path) => new URL(path, document.baseURI).href;

/** @param {string} name */
export const predictPath = (name) => `v1/models/${encodeURIComponent(name)}/predict`;

/**
 * An answer that is not 401: the person is asked for a key first, once for all that wait.
 * @param {string} path @param {RequestInit} [options] @returns {Promise<Response>}
 */
export async function ask(path, options = {}) {
  for (let refused = false; ; refused = true) {
    const response = await reach(path, withKey(options));
    if (response.status !== 401) return response;
    asking ??= askForKey(refused || key !== "").finally(() => { asking = null; });
    await asking;
  }
}

/** @param {RequestInit} options @returns {RequestInit} */
function withKey(options) {
  return key ? { ...options, headers: { ...options.headers, Authorization: `Bearer ${key}` } } : options;
}

/** What a route answers; its problem is thrown. @param {string} path @param {RequestInit} [options] @returns {Promise<any>} */
async function json(path, options) {
  const response = await ask(path, options);
  if (!response.ok) throw await problemOf(response);
  return response.json();
}

/** Who the page is signed in as; null where somebody has to sign in. @returns {Promise<Caller | null>} */
export async function whoAmI() {
  const response = await reach("v1/session", withKey({}));
  if (response.ok) {
    const { name, scopes, keys_asked: keysAsked } = await response.json();
    return { name, scopes, keysAsked };
  }
  if (response.status === 401) return null;
  const models = await reach("v1/models", withKey({})); // an older service: its routes tell
  return models.status === 401 ? null : { name: "", scopes: ["predict", "operate"], keysAsked: key !== "" };
}

/** Whether the service takes this key; from now on it is used. @param {string} text @returns {Promise<boolean>} */
export async function signIn(text) {
  key = "";
  const headers = { "Content-Type": "application/json" };
  const response = await reach("v1/session", { method: "POST", headers, body: JSON.stringify({ key: text }) });
  if (response.ok) return true;
  if (response.status === 401) return false;
  if (![404, 405].includes(response.status)) throw await problemOf(response);
  const models = await reach("v1/models", { headers: { Authorization: `Bearer ${text}` } });
  if (models.status !== 401) key = text;
  return models.status !== 401;
}

export async function signOut() {
  key = "";
  await reach("v1/session", { method: "DELETE" });
}

/** @returns {Promise<ModelSummary[]>} */
export const listModels = async () => (await json("v1/models")).models;
/** @param {string} name @returns {Promise<ModelCard>} */
export const showModel = (name) => json(`v1/models/${encodeURIComponent(name)}`);

/**
 * The answer for one picture. @param {ModelSummary} model @param {Blob} picture @param {string} name @param {AbortSignal} signal
 * @returns {Promise<Response>}
 */
export function predict(model, picture, name, signal) {
  const body = new FormData();
  body.append("image", picture, name);
  if (model.task === "classification") body.append("top", "5");
  return ask(predictPath(model.name), { method: "POST", body, signal });
}

/**
 * Pictures as jobs; the same key stands for the same request. @param {ModelSummary} model @param {{file: Blob, name: string}[]} pictures @param {string} key @param {AbortSignal} signal
 * @returns {Promise<Response>}
 */
export function submitJobs(model, pictures, key, signal) {
  const body = new FormData();
  for (const { file, name } of pictures) body.append("image", file, name);
  body.append("model", model.name);
  if (model.task === "classification") body.append("top", "5");
  return ask("v1/jobs", { method: "POST", body, signal, headers: { "Idempotency-Key": key } });
}

/** @returns {Promise<FleetStatus>} */
export const showFleet = () => json("v1/fleet");
/** @returns {Promise<FleetAction[]>} */
export const fleetLog = async () => (await json("v1/fleet/log?limit=100")).actions;
/** @param {string} name @returns {Promise<FleetAction>} */
export const stopWorker = (name) => json(`v1/fleet/workers/${encodeURIComponent(name)}`, { method: "DELETE" });
/** @param {number} min @param {number} max @returns {Promise<FleetAction>} */
export const scaleFleet = (min, max) => json("v1/fleet/scale", { method: "POST", body: new URLSearchParams({ min: `${min}`, max: `${max}` }) });

/** Whether jobs can be listed by their state: older services list all. */
let filtersJobs = true;

/** @param {{state: string, cursor?: string, limit?: number}} wanted @returns {Promise<JobPage>} */
export async function listJobs({ state, cursor = "", limit = 100 }) {
  const query = new URLSearchParams({ limit: `${limit}`, ...(cursor && { cursor }) });
  if (!state) return json(`v1/jobs?${query}`);
  try {
    if (filtersJobs) return await json(`v1/jobs?${new URLSearchParams([...query, ["state", state]])}`);
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "parameter-invalid") throw error;
    filtersJobs = false;
  }
  const page = await json(`v1/jobs?${query}`);
  return { ...page, jobs: page.jobs.filter((/** @type {Job} */ job) => job.state === state) };
}

/** @param {string} id */
const jobPath = (id) => `v1/jobs/${encodeURIComponent(id)}`;
/** @param {string} id @returns {Promise<Job>} */
export const showJob = (id) => json(jobPath(id));
/** @param {string} id @param {AbortSignal} [signal] @returns {Promise<Response>} */
export const jobResult = (id, signal) => ask(`${jobPath(id)}/result`, signal && { signal });
/** The first 500 jobs of a request. @param {string} group @param {AbortSignal} signal @returns {Promise<Job[]>} */
export const showGroup = async (group, signal) => (await json(`v1/groups/${encodeURIComponent(group)}?limit=500`, { signal })).jobs;
/** Cancels, or removes what a finished one answered. @param {string} id @returns {Promise<Job>} */
export const withdrawJob = (id) => json(jobPath(id), { method: "DELETE" });
/** @param {string} id @returns {Promise<Job>} */
export const requeueJob = (id) => json(`${jobPath(id)}/requeue`, { method: "POST" });

/** The stream of events, from where it was left. @param {string} last @param {AbortSignal} signal @returns {Promise<Response>} */
export function openEvents(last, signal) {
  return ask("v1/events", { signal, cache: "no-store", ...(last && { headers: { "Last-Event-ID": last } }) });
}
