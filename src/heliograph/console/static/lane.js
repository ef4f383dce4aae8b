// @ts-check
/** Work that is done a few pieces at a time, in the order in which it came. */
export class Lane {
  #running = 0;
  /** @type {(() => Promise<void>)[]} */
  #waiting = [];

  /** @param {number} width how many pieces at a time */
  constructor(width) {
    this.width = width;
  }

  /** Does `work` when it is its turn; `work` must not reject. @param {() => Promise<void>} work */
  add(work) {
    this.#waiting.push(work);
    this.#next();
  }

  #next() {
    if (this.#running >= this.width) return;
    const work = this.#waiting.shift();
    if (!work) return;
    this.#running++;
    work().finally(() => { this.#running--; this.#next(); });
  }
}
