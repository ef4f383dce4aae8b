// @ts-check
/** The last request as a command and as a program. */

import { html, useState } from "../html.js";
import { absolute, predictPath } from "../api.js";
import { session } from "../session.js";
import { useStore } from "../store.js";
import { lastAsked } from "../work/pictures.js";
import { models } from "../work/models.js";
import { Command } from "./text.js";

/** @param {string} text a file's name, as one word for a shell */
const word = (text) => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** @typedef {{address: string, file: string, gives: "labels" | "cutout" | "job", key: boolean}} Told */

/** @param {Told} told */
function curl({ address, file, gives, key }) {
  return ["curl", `-F image=@${word(file)}`, key && '-H "Authorization: Bearer $HELIOGRAPH_API_KEY"', address, gives === "cutout" && "-o cutout.png"].filter(Boolean).join(" ");
}

const READS = {
  labels: 'for best in answer.json()["results"][0]["predictions"]:\n    print(best["label"], best["probability"])',
  cutout: 'open("cutout.png", "wb").write(answer.content)',
  job: 'print(answer.json()["jobs"])  # GET v1/jobs/{id}/result has the answer',
};

/** @param {Told} told */
function python({ address, file, gives, key }) {
  return [
    key && "import os",
    "import requests",
    "",
    `with open(${JSON.stringify(file)}, "rb") as picture:`,
    "    answer = requests.post(",
    `        ${JSON.stringify(address)},`,
    '        files={"image": picture},',
    key && '        headers={"Authorization": f"Bearer {os.environ[\'HELIOGRAPH_API_KEY\']}"},',
    "    )",
    "answer.raise_for_status()",
    READS[gives],
  ].filter((line) => line !== false).join("\n");
}

export function RequestCode() {
  const [kind, setKind] = useState("curl");
  const last = useStore(lastAsked);
  const { list, chosen } = useStore(models);
  const { caller } = useStore(session);
  const model = last?.model ?? list?.find(({ name }) => name === chosen);
  if (!model) return null;
  const write = kind === "curl" ? curl : python;
  const address = absolute(last?.asJob ? `v1/jobs?model=${encodeURIComponent(model.name)}` : predictPath(model.name));
  const gives = last?.asJob ? "job" : model.task === "background-removal" ? "cutout" : "labels";
  const text = write({ address, file: last?.name ?? "picture.jpg", gives, key: !!caller?.keysAsked });
  return html`
    <details class="panel code">
      <summary>${last ? "The last request as code" : "The same from a program"}</summary>
      <div class="choices" role="group" aria-label="Language">
        ${["curl", "Python"].map((name) => html`<button key=${name} type="button" class="plain small" aria-pressed=${kind === name} onClick=${() => setKind(name)}>${name}</button>`)}
      </div>
      <${Command} text=${text} name=${`The request in ${kind}`} />
    </details>`;
}
