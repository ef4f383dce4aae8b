// @ts-check
/** Answers as files: one cut-out, or all there is as zip, CSV or JSON. */

import { onColour } from "./copies.js";
import { totalOf } from "./answers.js";
import { zip } from "./zip.js";

/** @param {Blob} data @param {string} name */
export function save(data, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(data);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** @param {string} name */
const stem = (name) => name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}._ -]/gu, "_") || "picture";

/** @param {Picture} picture @param {string} colour */
export async function saveCutout(picture, colour) {
  if (picture.answer?.kind === "cutout") save(await onColour(picture.answer.picture, colour), `${stem(picture.name)}-cutout.png`);
}

/** Finished pictures, oldest first. @param {Picture[]} pictures */
const finished = (pictures) => pictures.filter((picture) => picture.answer || picture.problem).sort((a, b) => a.id - b.id);

/** @param {Picture[]} pictures */
export function asJson(pictures) {
  const rows = finished(pictures).map(({ name, model, answer, problem }) => ({
    name,
    model: model.name,
    ...(answer && { worker: answer.trace.worker, timings_ms: Object.fromEntries(answer.trace.phases.map(({ name: phase, ms }) => [phase, ms])) }),
    ...(answer?.kind === "labels" && { predictions: answer.labels }),
    ...(problem && { problem }),
  }));
  return new Blob([`${JSON.stringify(rows, null, 2)}\n`], { type: "application/json" });
}

/** @param {unknown} value */
function cell(value) {
  const text = String(value ?? "");
  const safe = /^[=+\-@\t\r]/.test(text) && typeof value === "string" ? `'${text}` : text; // no formula for spreadsheets
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** @param {Picture[]} pictures */
export function asCsv(pictures) {
  const rows = [["name", "model", "label", "probability", "problem", "milliseconds", "worker"]];
  for (const { name, model, answer, problem } of finished(pictures)) {
    const best = answer?.kind === "labels" ? answer.labels[0] : null;
    const time = answer ? totalOf(answer.trace).toFixed(1) : "";
    rows.push([name, model.name, best?.label ?? "", best ? String(best.probability) : "", problem?.code ?? "", time, answer?.trace.worker ?? ""]);
  }
  return new Blob([rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("")], { type: "text/csv" });
}

/** Cut-outs on their colour, and what was said of all. @param {Picture[]} pictures @param {string} colour @returns {Promise<Blob>} */
export function asZip(pictures, colour) {
  return zip(filesOf(pictures, colour));
}

/** @param {Picture[]} pictures @param {string} colour @returns {AsyncGenerator<{name: string, data: Blob}>} */
async function* filesOf(pictures, colour) {
  const used = new Set();
  for (const { name, answer } of finished(pictures)) {
    if (answer?.kind !== "cutout") continue;
    let file = `${stem(name)}-cutout.png`;
    for (let number = 2; used.has(file); number++) file = `${stem(name)}-cutout-${number}.png`;
    used.add(file);
    yield { name: file, data: await onColour(answer.picture, colour) };
  }
  yield { name: "answers.json", data: asJson(pictures) };
  yield { name: "answers.csv", data: asCsv(pictures) };
}
