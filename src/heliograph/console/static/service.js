// @ts-check
/** The service behind this page: the only file that knows its addresses. */

/** @typedef {{name: string, task: string, title: string, state: string, problem?: string}} Model */
/** @typedef {{label: string, probability: number}} Label */
/** @typedef {{phases: {name: string, ms: number}[], worker: string}} Trace */
/** @typedef {{kind: "labels", labels: Label[], trace: Trace} | {kind: "cutout", picture: Blob, trace: Trace}} Answer */
/** @typedef {{signal: AbortSignal, onWait: (seconds: number) => void}} Asking */
/** @typedef {(refused: boolean) => Promise<string>} AskForKey */

const ATTEMPTS = 6;
const MAX_PAUSE_SECONDS = 30;
const BUSY = [429, 503];

/** What the service, or the way to it, says went wrong; the message is for people. */
export class Problem extends Error {
  /** @param {string} title @param {string} detail @param {string} code */
  constructor(title, detail, code) {
    super(detail);
    this.title = title;
    this.code = code;
  }
}

/** Asks the service. The API key, where one is wanted, lives here and nowhere else. */
export class Service {
  #key = "";
  /** @type {Promise<string> | null} */
  #asking = null;
  #askForKey;

  /** @param {AskForKey} askForKey asks the person for a key; rejects if there is none */
  constructor(askForKey) {
    this.#askForKey = askForKey;
  }

  /** The models that are served. @returns {Promise<Model[]>} */
  async models() {
    const response = await this.#fetch("v1/models");
    if (!response.ok) throw await problemOf(response);
    return (await response.json()).models;
  }

  /** Whether a model's labels are single characters. @param {Model} model @returns {Promise<boolean>} */
  async readsCharacters(model) {
    const response = await this.#fetch(`v1/models/${encodeURIComponent(model.name)}`);
    if (!response.ok) return false;
    const { labels } = await response.json();
    return labels.length > 0 && labels.every(isCharacter);
  }

  /**
   * The answer for one picture; waits and asks again while the service is too busy.
   * @param {Model} model @param {File} file @param {Asking} asking
   * @returns {Promise<Answer>}
   */
  async predict(model, file, { signal, onWait }) {
    const address = `v1/models/${encodeURIComponent(model.name)}/predict`;
    for (let attempt = 1; ; attempt++) {
      const body = new FormData();
      body.append("image", file, file.name);
      const response = await this.#fetch(address, { method: "POST", body, signal });
      if (response.ok) return answerOf(response);
      const problem = await problemOf(response);
      // Weights that are missing do not come by waiting.
      if (!BUSY.includes(response.status) || problem.code === "model-unavailable" || attempt === ATTEMPTS) throw problem;
      const seconds = pauseSeconds(response, attempt);
      onWait(seconds);
      await pause(seconds, signal);
    }
  }

  /** `fetch` with the key, which the person is asked for once it is needed. @param {string} address @param {RequestInit} [options] @returns {Promise<Response>} */
  async #fetch(address, options = {}) {
    for (;;) {
      const key = this.#key;
      const headers = key ? { Authorization: `Bearer ${key}` } : undefined;
      const response = await reach(address, { ...options, headers });
      if (response.status !== 401) return response;
      if (key === this.#key) await this.#newKey();
    }
  }

  /** Many requests may find out together that a key is wanted; the person is asked once. */
  async #newKey() {
    this.#asking ??= this.#askForKey(this.#key !== "").finally(() => { this.#asking = null; });
    this.#key = await this.#asking;
  }
}

/** Whether a text is a single character. @param {string} text */
export function isCharacter(text) {
  return [...text].length === 1;
}

/** @param {string} address @param {RequestInit} options @returns {Promise<Response>} */
async function reach(address, options) {
  try {
    return await fetch(address, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Problem("The service cannot be reached", "Is it still running? Is the network there?", "unreachable");
  }
}

/** @param {Response} response @returns {Promise<Answer>} */
async function answerOf(response) {
  const trace = traceOf(response.headers);
  if (response.headers.get("Content-Type")?.startsWith("image/")) {
    return { kind: "cutout", picture: await response.blob(), trace };
  }
  const [result] = (await response.json()).results;
  if (result.problem) throw new Problem(result.problem.title, result.problem.detail, result.problem.code);
  return { kind: "labels", labels: result.predictions, trace };
}

/** @param {Headers} headers @returns {Trace} */
function traceOf(headers) {
  const phases = [];
  for (const entry of (headers.get("Server-Timing") ?? "").split(",")) {
    const match = /^\s*([\w-]+)\s*;\s*dur=([\d.]+)/.exec(entry);
    if (match) phases.push({ name: match[1], ms: Number(match[2]) });
  }
  return { phases, worker: headers.get("Heliograph-Worker") ?? "" };
}

/** @param {Response} response @returns {Promise<Problem>} */
async function problemOf(response) {
  try {
    const { title, detail, code } = await response.json();
    return new Problem(title, detail === title ? "" : detail, code);
  } catch {
    return new Problem("The service did not answer as expected", `Status ${response.status}.`, "http");
  }
}

/** What the service asks to wait, within bounds. @param {Response} response @param {number} attempt */
function pauseSeconds(response, attempt) {
  const wanted = Number(response.headers.get("Retry-After") ?? NaN);
  return Math.min(wanted > 0 ? wanted : 2 ** attempt / 2, MAX_PAUSE_SECONDS);
}

/** @param {number} seconds @param {AbortSignal} signal @returns {Promise<void>} */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => { clearTimeout(timer); reject(signal.reason); };
    const timer = setTimeout(() => { signal.removeEventListener("abort", stop); resolve(); }, 1000 * seconds);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}
