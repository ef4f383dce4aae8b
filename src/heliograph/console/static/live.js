// @ts-check
/** The stream of events: one a tab, resumed where it was left, closed while nobody looks. */

import { openEvents } from "./api.js";
import { Store } from "./store.js";
import { Problem, pause, problemOf } from "./problem.js";

/** @typedef {"connecting" | "live" | "lost" | "shut" | "none"} Connection `shut`: nobody signed in; `none`: this service has no events, the page asks instead */

/** @type {Store<Connection>} */
export const connection = new Store(/** @type {Connection} */ ("connecting"));
/** @type {Set<(event: ServerEvent) => void>} */
const listeners = new Set();
const SILENCE_SECONDS = 40; // the service says something every 15
const HIDDEN_SECONDS = 20; // browsers allow few connections to one host, and tabs may be many
const RETRY_SECONDS = 1;
const MAX_RETRY_SECONDS = 8;

let last = "";
let stop = new AbortController();

/** @param {(event: ServerEvent) => void} listener @returns {() => void} ends it */
export function onEvent(listener) {
  listeners.add(listener);
  return () => { listeners.delete(listener); };
}

/** Follows the stream for as long as the page is open. */
export function follow() {
  let timer = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => stop.abort(), 1000 * HIDDEN_SECONDS);
    else if (stop.signal.aborted) run();
  });
  window.addEventListener("offline", () => { connection.set("lost"); stop.abort(); });
  window.addEventListener("online", () => { if (stop.signal.aborted) run(); });
  run();
}

/** Begins anew, as somebody else perhaps. */
export function restart() {
  last = "";
  run();
}

async function run() {
  stop.abort(); // one stream a tab
  stop = new AbortController();
  const { signal } = stop;
  for (let wait = RETRY_SECONDS; !signal.aborted; wait = Math.min(2 * wait, MAX_RETRY_SECONDS)) {
    try {
      const response = await openEvents(last, signal);
      if (response.ok && response.body) {
        connection.set("live");
        wait = RETRY_SECONDS / 2;
        await read(response.body);
      } else if ((await problemOf(response)).code === "needs-queue-mode") {
        connection.set("none");
        return;
      }
    } catch (error) {
      if (error instanceof Problem && error.code === "key-missing") { connection.set("shut"); return; }
      // Told below: whatever else it was, the stream is not there.
    }
    if (signal.aborted) return;
    connection.set("lost");
    await pause(wait, signal).catch(() => {});
  }
}

/** Tells the events of a stream until it ends or falls silent. @param {ReadableStream<Uint8Array>} body */
async function read(body) {
  const reader = body.pipeThrough(/** @type {ReadableWritablePair<string, any>} */ (new TextDecoderStream())).getReader();
  let text = "";
  let watchdog = 0;
  try {
    for (;;) {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => reader.cancel(), 1000 * SILENCE_SECONDS);
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (text + value).split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) tell(block);
    }
  } finally {
    clearTimeout(watchdog);
  }
}

/** @param {string} block the lines of one event */
function tell(block) {
  const event = { name: "", id: "", data: "" };
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) event.name = line.slice(7);
    else if (line.startsWith("id: ")) event.id = line.slice(4);
    else if (line.startsWith("data: ")) event.data += line.slice(6);
  }
  if (event.id) last = event.id;
  if (!event.name) return;
  if (event.name === "reset") last = "";
  const told = { name: event.name, id: event.id, data: event.data ? JSON.parse(event.data) : {} };
  for (const listener of listeners) listener(told);
}
