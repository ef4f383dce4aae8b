// @ts-check
/** The page: what is on top of every view, and which view is shown. */

import { html, render, useEffect, useRef, useState } from "./html.js";
import { connection, follow } from "./live.js";
import { enter, leave, session, SignIn, start } from "./session.js";
import { FleetPage } from "./pages/fleet.js";
import { JobsPage } from "./pages/jobs.js";
import { TryPage } from "./pages/try.js";
import { pictures } from "./work/pictures.js";
import { watchNumbers } from "./work/numbers.js";
import { useStore } from "./store.js";
import { ThemeChoice } from "./parts/theme.js";

const VIEWS = {
  "#/try": { title: "Try it", view: TryPage },
  "#/fleet": { title: "Fleet", view: FleetPage },
  "#/jobs": { title: "Jobs", view: JobsPage },
};
const STATES = {
  connecting: ["Connecting", "The page asks for the service's news."],
  live: ["Live", "What happens is shown as it happens."],
  lost: ["Connection lost", "The page tries again by itself. Nothing that was accepted is lost."],
  shut: ["Signed out", "The service tells its news to those who sign in."],
  none: ["On request", "This service tells no news by itself; the page asks for them."],
};

/** @returns {keyof typeof VIEWS} */
const current = () => (location.hash in VIEWS ? /** @type {keyof typeof VIEWS} */ (location.hash) : "#/try");

function Connection() {
  const state = useStore(connection);
  const [name, meaning] = STATES[state];
  return html`<p class=${`connection ${state}`} role="status" title=${meaning}>${name}</p>`;
}

function Badge() {
  const unfinished = useStore(pictures, (all) => all.filter(({ state }) => state === "waiting" || state === "asking").length);
  return unfinished ? html`<span class="count" aria-label=${`${unfinished} unfinished`}>${unfinished}</span>` : null;
}

function Person() {
  const { caller, declined } = useStore(session);
  if (declined) return html`<button type="button" class="button small" onClick=${enter}>Sign in</button>`;
  if (!caller?.keysAsked) return null;
  return html`<button type="button" class="plain" onClick=${leave} title=${caller.name && `Signed in as ${caller.name}`}>Sign out</button>`;
}

function App() {
  const [place, setPlace] = useState(current());
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const move = () => { setPlace(current()); scrollTo(0, 0); main.current?.focus({ preventScroll: true }); };
    addEventListener("hashchange", move);
    return () => removeEventListener("hashchange", move);
  }, []);
  const { title, view } = VIEWS[place];
  useEffect(() => { document.title = `${title} · Heliograph`; }, [title]);
  return html`
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => { event.preventDefault(); main.current?.focus(); }}>Skip to the content</a>
    <header class="top">
      <a class="brand" href="#/try"><img src="console/logo.svg" alt="" width="34" height="34" /><span>Heliograph</span></a>
      <nav aria-label="Views">
        ${Object.entries(VIEWS).map(([hash, { title: name }]) => html`
          <a key=${hash} href=${hash} aria-current=${hash === place ? "page" : null}>${name}${hash === "#/try" && html`<${Badge} />`}</a>`)}
      </nav>
      <div class="state">
        <${Connection} />
        <${Person} />
        <a class="plain" href="docs">API</a>
        <${ThemeChoice} />
      </div>
    </header>
    <main id="main" tabindex="-1" ref=${main}><${view} /></main>
    <${SignIn} />`;
}

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
render(html`<${App} />`, root);
start().then(() => { watchNumbers(); follow(); });
