// @ts-check
/** What can go wrong between this page and the service. */

/** What the service, or the way to it, says went wrong; the message is for people. */
export class Problem extends Error {
  /** @param {string} title @param {string} detail @param {string} code @param {number} [status] */
  constructor(title, detail, code, status = 0) {
    super(detail);
    this.title = title;
    this.code = code;
    this.status = status;
  }
}

/** What the network does; its failure is a problem. @template T @param {Promise<T>} done @param {AbortSignal | null} [signal] @returns {Promise<T>} */
async function reached(done, signal) {
  try {
    return await done;
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem("The service cannot be reached", "Is it still running? Is the network there?", "unreachable");
  }
}

/** `fetch` whose failure is a problem. @param {string} path @param {RequestInit} options @returns {Promise<Response>} */
export const reach = (path, options) => reached(fetch(path, options), options.signal);

/** An answer whose body is here: the connection may be lost after the headers too. @param {Response} response @param {AbortSignal} signal @returns {Promise<Response>} */
export const whole = async (response, signal) => new Response(await reached(response.blob(), signal), response);

/** @param {Response} response @returns {Promise<Problem>} */
export async function problemOf(response) {
  try {
    const { title, detail, code } = await response.json();
    return new Problem(title, detail === title ? "" : detail, code, response.status);
  } catch {
    return new Problem("The service did not answer as expected", `Status ${response.status}.`, "http", response.status);
  }
}

/** Whatever was thrown, as text. @param {unknown} error @returns {ProblemText} */
export function textOf(error) {
  if (error instanceof Problem) return { title: error.title, detail: error.message, code: error.code };
  return { title: "Something went wrong on this page", detail: String(error), code: "page" };
}

/** @param {number} seconds @param {AbortSignal} signal @returns {Promise<void>} */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => { clearTimeout(timer); reject(signal.reason); };
    const timer = setTimeout(() => { signal.removeEventListener("abort", stop); resolve(); }, 1000 * seconds);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}
