// @ts-check
/** Where pictures come in: dropped, pasted, chosen one by one or by the folder. */

import { html, useEffect, useRef, useState } from "../html.js";
import { connection } from "../live.js";
import { useStore } from "../store.js";
import { asJobs } from "../work/batches.js";

const PICTURE = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif)$/i;

/** The files of a drop or a paste, those in folders included. @param {DataTransfer | null} data @returns {Promise<File[]>} */
export async function filesOf(data) {
  const entries = [...(data?.items ?? [])].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry?.isDirectory);
  const plain = [...(data?.files ?? [])].filter((file) => !entries.some((entry) => entry?.name === file.name));
  const inside = await Promise.all(entries.map((entry) => inFolder(/** @type {FileSystemDirectoryEntry} */ (entry))));
  return [...plain, ...inside.flat()];
}

/** @param {FileSystemDirectoryEntry} folder @returns {Promise<File[]>} */
async function inFolder(folder) {
  const reader = folder.createReader();
  const files = [];
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return files;
    for (const entry of entries) {
      if (entry.isDirectory) files.push(...(await inFolder(/** @type {FileSystemDirectoryEntry} */ (entry))));
      else if (PICTURE.test(entry.name)) files.push(await new Promise((resolve, reject) => /** @type {FileSystemFileEntry} */ (entry).file(resolve, reject)));
    }
  }
}

/** @param {{onFiles: (files: File[]) => void, big: boolean, model?: ModelSummary}} props */
export function DropZone({ onFiles, big, model }) {
  const [over, setOver] = useState(false);
  const latest = useRef(onFiles);
  latest.current = onFiles;
  useEffect(() => {
    const carries = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files");
    const drag = (/** @type {DragEvent} */ event) => { if (carries(event)) { event.preventDefault(); setOver(true); } };
    const exit = (/** @type {DragEvent} */ event) => { if (!event.relatedTarget) setOver(false); };
    const drop = async (/** @type {DragEvent} */ event) => {
      if (!carries(event)) return;
      event.preventDefault();
      setOver(false);
      latest.current(await filesOf(event.dataTransfer));
    };
    document.addEventListener("dragover", drag);
    document.addEventListener("dragleave", exit);
    document.addEventListener("drop", drop);
    return () => {
      document.removeEventListener("dragover", drag);
      document.removeEventListener("dragleave", exit);
      document.removeEventListener("drop", drop);
    };
  }, []);
  const choose = (/** @type {Event} */ event) => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    const files = [...(input.files ?? [])];
    onFiles(input.webkitdirectory ? files.filter(({ name }) => PICTURE.test(name)) : files);
    input.value = "";
  };
  return html`
    <section id="drop" class=${`drop ${big ? "big" : ""} ${over ? "over" : ""}`} aria-label="Pictures">
      <svg viewBox="0 0 64 48" aria-hidden="true"><rect x="3" y="3" width="58" height="42" rx="7" /><circle cx="19" cy="17" r="5" /><path d="m4 39 17-14 11 9 13-15 16 17" /></svg>
      <p class="lead">Drop pictures here</p>
      <p class="quiet">${model ? html`or paste one. <strong>${model.title}</strong> answers.` : "as soon as a model is there."}</p>
      <div class="actions">
        <span><input id="files" class="covered" type="file" multiple accept="image/*,.tif,.tiff,.avif" onChange=${choose} disabled=${!model} />
          <label for="files" class="button">Choose files</label></span>
        <span><input id="folder" class="covered" type="file" webkitdirectory onChange=${choose} disabled=${!model} />
          <label for="folder" class="plain">Choose a folder</label></span>
        <${JobSwitch} />
      </div>
    </section>`;
}

function JobSwitch() {
  const on = useStore(asJobs);
  const hasJobs = useStore(connection) !== "none";
  if (!hasJobs) return null;
  return html`
    <label class="switch" title="Many pictures go into one request and wait in the queue, also when this page is closed; Jobs lists them.">
      <input type="checkbox" role="switch" checked=${on} onChange=${() => asJobs.set(!on)} />As jobs</label>`;
}
