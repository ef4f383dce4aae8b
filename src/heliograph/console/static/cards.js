// @ts-check
/** One picture on the page, from waiting to its answer. */

import { make, withCode } from "./elements.js";
import { isCharacter, Problem } from "./service.js";

/** @typedef {import("./service.js").Answer} Answer */
/** @typedef {import("./service.js").Label} Label */
/** @typedef {import("./service.js").Model} Model */
/** @typedef {import("./service.js").Trace} Trace */

const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** The card of one picture. Leaving it (`remove`) also stops its request and frees its pictures. */
export class Card {
  #leaving = new AbortController();
  #stage = make("div", { className: "stage" });
  #body = make("div", { className: "body" });
  #note = make("p", { className: "note" }, "waiting");
  /** @type {string[]} */
  #addresses = [];

  /** @param {File} file @param {Model} model */
  constructor(file, model) {
    this.file = file;
    this.model = model;
    this.done = false;
    const close = make("button", { type: "button", className: "close", title: "Remove" }, "×");
    close.setAttribute("aria-label", `Remove ${file.name}`);
    close.addEventListener("click", () => this.remove());
    this.element = make("article", { className: "card waiting" }, this.#stage,
      make("div", { className: "text" }, make("h3", { title: file.name }, file.name), this.#body, this.#note), close);
    this.#showThumbnail();
  }

  /** Aborted once the card has left the page. */
  get signal() {
    return this.#leaving.signal;
  }

  /** Takes the card off the page. */
  remove() {
    this.#leaving.abort();
    for (const address of this.#addresses) URL.revokeObjectURL(address);
    const next = /** @type {HTMLElement | null} */ (this.element.nextElementSibling ?? this.element.previousElementSibling);
    const hadFocus = this.element.contains(document.activeElement);
    this.element.dispatchEvent(new CustomEvent("leave", { bubbles: true }));
    this.element.remove();
    if (hadFocus) /** @type {HTMLElement | null} */ (next?.querySelector(".close"))?.focus();
  }

  /** The request is on its way. */
  showWorking() {
    this.element.className = "card working";
    this.#note.textContent = `asking ${this.model.title}`;
  }

  /** The service is busy. @param {number} seconds until the next attempt */
  showWaiting(seconds) {
    this.#note.textContent = `the service is busy, next try in ${Math.ceil(seconds)} s`;
  }

  /** @param {Answer} answer */
  showAnswer(answer) {
    this.#finish("answered");
    if (answer.kind === "cutout") this.#showCutout(answer.picture);
    else if (answer.labels.length && isCharacter(answer.labels[0].label)) this.#showCharacter(answer.labels);
    else this.#body.append(bars(answer.labels));
    this.#note.replaceChildren(...traceParts(answer.trace));
  }

  /** @param {unknown} error */
  showProblem(error) {
    this.#finish("failed");
    const problem = error instanceof Problem ? error : new Problem("Something went wrong on this page", String(error), "page");
    this.#body.append(make("p", { className: "problem" }, problem.title), make("p", { className: "detail" }, ...withCode(problem.message)));
    this.#note.textContent = problem.code;
  }

  /** @param {string} state */
  #finish(state) {
    this.done = true;
    this.element.className = `card ${state}`;
    this.#body.replaceChildren();
  }

  #showThumbnail() {
    const address = URL.createObjectURL(this.file);
    const image = make("img", { alt: "", className: "thumbnail" });
    const free = () => URL.revokeObjectURL(address);
    image.addEventListener("load", free);
    image.addEventListener("error", () => {
      free();
      image.replaceWith(make("span", { className: "no-thumbnail" }, suffix(this.file.name)));
    });
    image.src = address;
    this.#stage.append(image);
  }

  /** @param {Blob} picture */
  #showCutout(picture) {
    const address = URL.createObjectURL(picture);
    this.#addresses.push(address);
    const image = make("img", { src: address, alt: `${this.file.name} without its background`, className: "cutout" });
    this.#stage.replaceChildren(image);
    this.#stage.classList.add("checkerboard");
    const name = `${this.file.name.replace(/\.[^.]*$/, "")}-cutout.png`;
    const link = make("a", { href: address, download: name, className: "button small" }, "Download");
    link.setAttribute("aria-label", `Download ${name}`);
    const facts = make("span", { className: "detail" }, size(picture.size));
    image.addEventListener("load", () => { facts.prepend(`${image.naturalWidth} × ${image.naturalHeight}, `); });
    this.#body.append(make("p", { className: "file" }, link, facts));
  }

  /** @param {Label[]} labels */
  #showCharacter(labels) {
    const [best] = labels;
    this.#stage.append(make("span", { className: "character", lang: "ja" }, best.label));
    this.#stage.classList.add("beside");
    this.#body.append(bars(labels));
  }
}

/** Labels with bars as long as they are likely. @param {Label[]} labels */
function bars(labels) {
  const rows = labels.map(({ label, probability }) => {
    const row = make("li", {}, make("span", { className: "label" }, label), " ", make("span", { className: "percent" }, percent.format(probability)));
    row.style.setProperty("--share", String(probability));
    return row;
  });
  return make("ol", { className: "labels" }, ...rows);
}

/** Where the time went, and who answered. @param {Trace} trace @returns {(Node | string)[]} */
function traceParts({ phases, worker }) {
  const total = phases.reduce((sum, phase) => sum + phase.ms, 0);
  const parts = phases.map(({ name, ms }) => make("span", { className: `phase ${name}` }, `${name} ${duration(ms)}`));
  const line = make("span", { className: "phases", ariaHidden: "true" });
  for (const { name, ms } of phases) {
    const piece = make("span", { className: name });
    piece.style.setProperty("--share", String(total ? ms / total : 0));
    line.append(piece);
  }
  return [line, ...parts.flatMap((part) => [part, " "]), make("span", { className: "worker" }, `${duration(total)}${worker ? ` on ${worker}` : ""}`)];
}

/** @param {number} ms */
function duration(ms) {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return ms >= 10 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(1)} ms`;
}

/** @param {number} bytes */
function size(bytes) {
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
}

/** @param {string} name */
function suffix(name) {
  return /\.([^.]{1,5})$/.exec(name)?.[1].toUpperCase() ?? "?";
}
