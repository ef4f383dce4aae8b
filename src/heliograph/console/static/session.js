// @ts-check
/** Who uses the page: nobody in particular, or whoever signed in with an API key. */

import { html, useEffect, useRef, useState } from "./html.js";
import { onKeyWanted, signIn, signOut, whoAmI } from "./api.js";
import { restart } from "./live.js";
import { Problem, textOf } from "./problem.js";
import { Store, useStore } from "./store.js";
import { Dialog } from "./parts/dialog.js";
import { loadModels } from "./work/models.js";

/** `declined`: the person closed the dialog; it comes back when asked for. @typedef {{caller: Caller | null, wanted: boolean, refused: boolean, declined: boolean}} Session */
export const session = new Store(/** @type {Session} */ ({ caller: null, wanted: false, refused: false, declined: false }));
/** @type {((error?: unknown) => void)[]} */
let waiting = [];

/** Finds out who is there, and asks for a key where one is needed. */
export async function start() {
  onKeyWanted(wantKey);
  for (;;) {
    try {
      const caller = await whoAmI();
      session.merge({ caller });
      if (!caller) await wantKey(false);
      break;
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== "unreachable") break;
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
  await loadModels();
}

/** @param {boolean} refused @returns {Promise<void>} */
function wantKey(refused) {
  if (session.value.declined) return Promise.reject(noKey());
  session.merge({ wanted: true, refused });
  return new Promise((resolve, reject) => {
    waiting.push((error) => (error ? reject(error) : resolve()));
  });
}

const noKey = () => new Problem("An API key is needed", "Sign in at the top of the page.", "key-missing");

/** @param {unknown} [error] */
function settle(error) {
  session.merge({ wanted: false, refused: false, declined: !!error });
  for (const each of waiting.splice(0)) each(error);
}

/** Asks for the key that was not given before. */
export function enter() {
  session.merge({ declined: false, wanted: true });
}

export async function leave() {
  await signOut();
  location.reload();
}

/** Whether the caller may stop and scale; where nobody tells, the service will. @param {Caller | null} caller */
export const mayOperate = (caller) => !caller || caller.scopes.includes("operate");

export function SignIn() {
  const { wanted, refused } = useStore(session);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => { if (wanted) field.current?.focus(); }, [wanted]);
  if (!wanted) return null;
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const input = /** @type {HTMLInputElement} */ (field.current);
    setBusy(true);
    try {
      if (await signIn(input.value.trim())) {
        session.merge({ caller: await whoAmI() });
        settle();
        restart();
        loadModels();
      } else setProblem("The service does not know this key. Is there another one?");
    } catch (error) {
      setProblem(textOf(error).title);
    }
    setBusy(false);
    input.value = "";
    input.focus();
  };
  const close = () => settle(noKey());
  return html`
    <${Dialog} title="Sign in" onClose=${close} narrow>
      <form onSubmit=${send} class="sign-in">
        <p>${problem || (refused ? "The service does not take the key any more. Sign in again." : "This service wants an API key. It becomes a cookie that this page cannot read.")}</p>
        <label for="key">Key</label>
        <input id="key" ref=${field} type="password" autocomplete="off" spellcheck="false" required />
        <div class="actions"><button class="button" disabled=${busy}>Sign in</button></div>
      </form>
    <//>`;
}
