// @ts-check
/** Asking a service that is too busy, or cannot be reached, once more. */

import { connection } from "../live.js";
import { Problem, pause, problemOf, whole } from "../problem.js";

const BUSY_ATTEMPTS = 10;
const BUSY = [429, 503];
const MAX_PAUSE_SECONDS = 30;
const UNREACHABLE_SECONDS = 1.5;

/** An answer that is well and here with all of its body; its problem is thrown. @param {() => Promise<Response>} send @param {AbortSignal} signal @param {(text: string) => void} note tells people what is waited for @returns {Promise<Response>} */
export async function patiently(send, signal, note) {
  for (let attempt = 1; ; ) {
    try {
      const response = await send();
      if (response.ok) return await whole(response, signal);
      const problem = await problemOf(response);
      // Weights that are missing do not come by waiting.
      if (!BUSY.includes(response.status) || problem.code === "model-unavailable" || attempt++ === BUSY_ATTEMPTS) throw problem;
      const wanted = Number(response.headers.get("Retry-After") ?? NaN);
      const seconds = Math.min(wanted > 0 ? wanted : 2, MAX_PAUSE_SECONDS);
      note(`The service is busy. Next try in ${Math.ceil(seconds)} s.`);
      await pause(seconds, signal);
    } catch (error) {
      if (!(error instanceof Problem && error.code === "unreachable")) throw error;
      if (connection.value === "live") connection.set("lost");
      note("No connection. It goes on by itself.");
      await pause(UNREACHABLE_SECONDS, signal);
    }
    note("");
  }
}

/** Throws if a file is not where it was: to send it fails as if the network did. @param {File} file */
export async function checkReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Problem("The file cannot be read", "It was moved or changed after you chose it.", "file-unreadable");
  }
}
