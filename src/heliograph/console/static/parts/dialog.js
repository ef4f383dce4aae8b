// @ts-check
/** A dialog over the page; where the focus was is where it returns to. */

import { html, useLayoutEffect, useRef } from "../html.js";

/** @param {{title: string, onClose: () => void, children?: any, narrow?: boolean}} props */
export function Dialog({ title, onClose, children, narrow = false }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useLayoutEffect(() => {
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    const dialog = element.current;
    dialog?.showModal();
    return () => { dialog?.close(); focused?.focus?.(); };
  }, []);
  const outside = (/** @type {MouseEvent} */ event) => { if (event.target === element.current) onClose(); };
  const cancel = (/** @type {Event} */ event) => { event.preventDefault(); onClose(); };
  return html`
    <dialog ref=${element} class=${narrow ? "narrow" : ""} aria-label=${title} onCancel=${cancel} onMouseDown=${outside}>
      <div class="dialog-head">
        <h2>${title}</h2>
        <button type="button" class="plain icon" aria-label="Close" onClick=${onClose}>×</button>
      </div>
      ${children}
    </dialog>`;
}
