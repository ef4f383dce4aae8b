// @ts-check
/** State that lives outside of components, so that it outlives the page that shows it. */

import { useEffect, useState } from "./html.js";

/** @template T */
export class Store {
  /** @type {Set<() => void>} */
  #listeners = new Set();

  /** @param {T} value */
  constructor(value) {
    this.value = value;
  }

  /** @param {T} value */
  set(value) {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const listener of [...this.#listeners]) listener();
  }

  /** @param {Partial<T>} changes */
  merge(changes) {
    this.set({ ...this.value, ...changes });
  }

  /** @param {() => void} listener @returns {() => void} ends it */
  listen(listener) {
    this.#listeners.add(listener);
    return () => { this.#listeners.delete(listener); };
  }
}

/** The store's value, or what is wanted of it, now and whenever that changes. @template T @template [W=T] @param {Store<T>} store @param {(value: T) => W} [pick] the same function each time @returns {W} */
export function useStore(store, pick = (value) => /** @type {any} */ (value)) {
  const [value, setValue] = useState(() => pick(store.value));
  useEffect(() => {
    const take = () => { const next = pick(store.value); setValue(() => next); };
    take();
    return store.listen(take);
  }, [store]);
  return value;
}
