// @ts-check
/** What an answer says, and how it is said to people. */

import { Problem } from "../problem.js";

const percents = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });

/** @param {Response} response @returns {Promise<Answer>} */
export async function readAnswer(response) {
  const trace = traceOf(response.headers);
  if (response.headers.get("Content-Type")?.startsWith("image/")) {
    return { kind: "cutout", picture: await response.blob(), trace };
  }
  const body = await response.json();
  const [result] = body.results ?? [{ predictions: body }];
  if (result.problem) throw new Problem(result.problem.title, result.problem.detail, result.problem.code);
  return { kind: "labels", labels: result.predictions, trace };
}

/** @param {Headers} headers @returns {Trace} */
export function traceOf(headers) {
  const phases = [];
  for (const entry of (headers.get("Server-Timing") ?? "").split(",")) {
    const match = /^\s*([\w-]+)\s*;\s*dur=([\d.]+)/.exec(entry);
    if (match) phases.push({ name: match[1], ms: Number(match[2]) });
  }
  return { phases, worker: headers.get("Heliograph-Worker") ?? "" };
}

/** @param {Trace} trace */
export const totalOf = (trace) => trace.phases.reduce((sum, { ms }) => sum + ms, 0);

/** Whether a text is a single character. @param {string} text */
export const isCharacter = (text) => [...text].length === 1;

/** @param {number} share */
export const percent = (share) => percents.format(share);

/** @param {number} ms */
export function duration(ms) {
  if (ms >= 60_000) return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(ms >= 10_000 ? 0 : 2)} s`;
  return ms >= 10 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(1)} ms`;
}

/** How long ago, roughly. @param {string} moment */
export function age(moment) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(moment)) / 1000));
  if (seconds < 90) return `${seconds} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** @param {number} bytes */
export const fileSize = (bytes) => (bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`);

/** @param {string} name */
export const suffixOf = (name) => /\.([^.]{1,5})$/.exec(name)?.[1].toUpperCase() ?? "?";

/** @param {string | null} moment */
export const timeOf = (moment) => (moment ? new Date(moment).toLocaleTimeString("en-GB") : "–");

/** A worker's name without what all names share. @param {string} name */
export const shortName = (name) => (name.length > 26 ? `…${name.slice(-24)}` : name);
