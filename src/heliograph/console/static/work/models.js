// @ts-check
/** The models that are served, asked again until none is loading any more. */

import { listModels, showModel } from "../api.js";
import { textOf } from "../problem.js";
import { Store } from "../store.js";
import { isCharacter } from "./answers.js";

const AGAIN_SECONDS = 1.5;
const KINDS = { classification: "Labels", "background-removal": "Cut-out" };

/** @typedef {{list: ModelSummary[] | null, chosen: string, problem: ProblemText | null}} Models */

export const models = new Store(/** @type {Models} */ ({ list: null, chosen: "", problem: null }));
/** All that was told about a model, by its name. @type {Store<Record<string, ModelCard>>} */
export const cards = new Store(/** @type {Record<string, ModelCard>} */ ({}));
let timer = 0;

export async function loadModels() {
  clearTimeout(timer);
  try {
    const list = await listModels();
    const known = list.some(({ name, state }) => name === models.value.chosen && state !== "unavailable");
    const chosen = known ? models.value.chosen : list.find(({ state }) => state !== "unavailable")?.name ?? "";
    models.set({ list, chosen, problem: null });
    for (const { name } of list) if (!cards.value[name]) cards.merge({ [name]: await showModel(name) });
    if (list.some(({ state }) => state === "loading")) timer = setTimeout(loadModels, 1000 * AGAIN_SECONDS);
  } catch (error) {
    models.merge({ problem: textOf(error) });
    timer = setTimeout(loadModels, 3000 * AGAIN_SECONDS);
  }
}

/** @param {string} chosen */
export const choose = (chosen) => models.merge({ chosen });

/** @param {ModelCard | undefined} card */
export const readsCharacters = (card) => !!card?.labels.length && card.labels.every(isCharacter);

/** What a model does, in a word. @param {ModelSummary} model @param {ModelCard | undefined} card */
export function kindOf(model, card) {
  if (readsCharacters(card)) return "Character";
  return KINDS[/** @type {keyof typeof KINDS} */ (model.task)] ?? model.task;
}
