// @ts-check
/** The models that are served, asked again until none is loading any more, and now and then: they come and go. */

import { listModels, showModel } from "../api.js";
import { connection } from "../live.js";
import { textOf } from "../problem.js";
import { Store } from "../store.js";
import { isCharacter } from "./answers.js";

const AGAIN_SECONDS = 1.5;
const EVERY_SECONDS = 30;
const KINDS = { classification: "Labels", "background-removal": "Cut-out" };

/** @typedef {{list: ModelSummary[] | null, chosen: string, problem: ProblemText | null}} Models */

export const models = new Store(/** @type {Models} */ ({ list: null, chosen: "", problem: null }));
/** All that was told about a model, by its name. @type {Store<Record<string, ModelCard>>} */
export const cards = new Store(/** @type {Record<string, ModelCard>} */ ({}));
/** What was listed of each when its card was asked for. @type {Map<string, string>} */
const told = new Map();
let wanted = "";
let timer = 0;
let wasLost = false;

export async function loadModels() {
  clearTimeout(timer);
  try {
    const list = await listModels();
    const names = list.filter(({ state }) => state !== "unavailable").map(({ name }) => name);
    const chosen = [wanted, models.value.chosen].find((name) => names.includes(name)) ?? names[0] ?? "";
    models.set({ list, chosen, problem: null });
    for (const model of list) await loadCard(model);
    if (list.some(({ state }) => state === "loading")) timer = setTimeout(loadModels, 1000 * AGAIN_SECONDS);
  } catch (error) {
    models.merge({ problem: textOf(error) });
    timer = setTimeout(loadModels, 3000 * AGAIN_SECONDS);
  }
}

/** Asks for a card that is not here, or that of another package by now. @param {ModelSummary} model */
async function loadCard(model) {
  const summary = JSON.stringify(model);
  if (told.get(model.name) === summary) return;
  cards.merge({ [model.name]: await showModel(model.name) });
  told.set(model.name, summary);
}

/** @param {string} chosen */
export function choose(chosen) {
  wanted = chosen; // also if it goes and comes back
  models.merge({ chosen });
}

/** @param {ModelCard | undefined} card */
export const readsCharacters = (card) => !!card?.labels.length && card.labels.every(isCharacter);

/** What a model does, in a word. @param {ModelSummary} model @param {ModelCard | undefined} card */
export function kindOf(model, card) {
  if (readsCharacters(card)) return "Character";
  return KINDS[/** @type {keyof typeof KINDS} */ (model.task)] ?? model.task;
}

connection.listen(() => {
  if (connection.value === "live" && wasLost) loadModels();
  wasLost = connection.value === "lost";
});
setInterval(() => { if (!document.hidden && models.value.list) loadModels(); }, 1000 * EVERY_SECONDS);
