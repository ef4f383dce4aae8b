// @ts-check
/** The page: pictures come in, cards come out. */

import { Card } from "./cards.js";
import { byId, make, withCode } from "./elements.js";
import { Lane } from "./lane.js";
import { Problem, Service } from "./service.js";

/** @typedef {import("./service.js").Model} Model */

const REQUESTS_AT_A_TIME = 4;
const LOADING_SECONDS = 1.5;
const TASKS = { classification: "Labels", "background-removal": "Cut-out" };

const service = new Service(askForKey);
const lane = new Lane(REQUESTS_AT_A_TIME);
/** @type {Map<Element, Card>} */
const cards = new Map();
/** Names of the models that read characters. @type {Map<string, boolean>} */
const characterReaders = new Map();
/** @type {Model[]} */
let models = [];

/** @param {boolean} refused @returns {Promise<string>} */
function askForKey(refused) {
  const dialog = byId("key-dialog");
  if (refused) byId("key-reason").textContent = "The service does not know this key. Is there another one?";
  byId("key").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.addEventListener("close", () => {
      const key = byId("key").value.trim();
      byId("key").value = "";
      if (dialog.returnValue === "ok" && key) resolve(key);
      else reject(new Problem("An API key is needed", "None was given.", "key-missing"));
    }, { once: true });
  });
}

/** Shows the models, again and again until none is loading any more. */
async function showModels() {
  try {
    models = await service.models();
    for (const model of models) {
      if (model.task === "classification" && !characterReaders.has(model.name)) {
        characterReaders.set(model.name, await service.readsCharacters(model));
      }
    }
  } catch (error) {
    const retry = make("button", { type: "button", className: "plain" }, "Try again");
    retry.addEventListener("click", showModels);
    const { title, message } = /** @type {Error & {title?: string}} */ (error);
    byId("models").replaceChildren(make("p", { className: "problem" }, [title, message].filter(Boolean).join(". ")), retry);
    return;
  }
  drawModels();
  if (models.some((model) => model.state === "loading")) setTimeout(showModels, 1000 * LOADING_SECONDS);
}

function drawModels() {
  const chosen = chosenModel()?.name ?? models.find((model) => model.state !== "unavailable")?.name;
  const focused = /** @type {HTMLInputElement | null} */ (document.activeElement)?.value;
  byId("models").replaceChildren(...models.map((model) => choice(model, model.name === chosen)));
  byId("model-problems").replaceChildren(...models.flatMap((model) => (model.problem ? [problemLine(model)] : [])));
  /** @type {HTMLElement | undefined} */ (radios().find((radio) => focused !== undefined && radio.value === focused))?.focus();
  drawAgain();
}

/** @param {Model} model @param {boolean} checked */
function choice(model, checked) {
  const gone = model.state === "unavailable";
  const id = `model-${model.name}`;
  const input = make("input", { type: "radio", name: "model", value: model.name, id, checked: checked && !gone, disabled: gone });
  const label = make("label", { htmlFor: id },
    make("strong", {}, taskOf(model)), " ",
    make("span", { className: "title" }, model.title), " ",
    make("span", { className: `state ${model.state}` }, model.state));
  if (model.problem) input.setAttribute("aria-describedby", `problem-${model.name}`);
  return make("div", { className: "choice" }, input, label);
}

/** @param {Model} model */
function problemLine(model) {
  return make("p", { id: `problem-${model.name}` }, make("strong", {}, `${model.title}: `), ...withCode(model.problem ?? ""));
}

/** What a model does, in a word. @param {Model} model */
function taskOf(model) {
  if (characterReaders.get(model.name)) return "Character";
  return TASKS[/** @type {keyof typeof TASKS} */ (model.task)] ?? model.task;
}

/** @returns {HTMLInputElement[]} */
function radios() {
  return [...byId("models").querySelectorAll("input")];
}

/** @returns {Model | undefined} */
function chosenModel() {
  const name = radios().find((radio) => radio.checked)?.value;
  return models.find((model) => model.name === name);
}

/** Asks the chosen model about files. @param {File[]} files */
function ask(files) {
  const model = chosenModel();
  if (!model) {
    byId("results").hidden = false;
    byId("status").textContent = "No model is ready to be asked.";
    return;
  }
  const added = files.map((file) => new Card(file, model));
  byId("cards").prepend(...added.map((card) => card.element));
  byId("results").hidden = cards.size + added.length === 0;
  for (const card of added) {
    cards.set(card.element, card);
    lane.add(() => answer(card));
  }
  drawStatus();
}

/** @param {Card} card */
async function answer(card) {
  if (card.signal.aborted) return;
  card.showWorking();
  try {
    card.showAnswer(await service.predict(card.model, card.file, {
      signal: card.signal,
      onWait: (seconds) => card.showWaiting(seconds),
    }));
  } catch (error) {
    if (card.signal.aborted) return;
    card.showProblem(error);
  }
  drawStatus();
}

function drawStatus() {
  const done = [...cards.values()].filter((card) => card.done).length;
  byId("status").textContent = done < cards.size ? `${done} of ${cards.size} done` : `${cards.size} done`;
  byId("results").hidden = cards.size === 0;
  drawAgain();
}

/** Pictures on the page that the chosen model was not asked about. @returns {File[]} */
function unasked() {
  const name = chosenModel()?.name;
  const all = [...cards.values()];
  const asked = new Set(all.filter((card) => card.model.name === name).map((card) => card.file));
  return [...new Set(all.map((card) => card.file))].filter((file) => !asked.has(file));
}

function drawAgain() {
  const model = chosenModel();
  const count = model ? unasked().length : 0;
  byId("again").hidden = count === 0;
  if (model && count) byId("again").textContent = `Ask ${model.title} about ${count === 1 ? "this picture" : `these ${count}`} too`;
}

/** @param {DataTransfer | null} data */
function filesOf(data) {
  return [...(data?.files ?? [])];
}

/** @param {File[]} files what was dropped, pasted or chosen; perhaps nothing, as where it was text */
function take(files) {
  if (files.length) ask(files);
}

/** @param {DragEvent} event @param {boolean} over */
function drag(event, over) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  byId("drop").classList.toggle("over", over);
}

function listen() {
  const input = byId("files");
  input.addEventListener("change", () => { take([...input.files]); input.value = ""; });
  byId("models").addEventListener("change", drawAgain);
  byId("ask").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
  byId("again").addEventListener("click", () => ask(unasked()));
  byId("clear").addEventListener("click", () => {
    for (const card of [...cards.values()]) card.remove();
    input.focus();
  });
  byId("cards").addEventListener("leave", (/** @type {Event} */ event) => {
    cards.delete(/** @type {Element} */ (event.target));
    drawStatus();
  });
  document.addEventListener("dragover", (event) => drag(event, true));
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drag(event, false); });
  document.addEventListener("drop", (event) => { drag(event, false); take(filesOf(event.dataTransfer)); });
  document.addEventListener("paste", (event) => take(filesOf(event.clipboardData)));
}

listen();
showModels();
