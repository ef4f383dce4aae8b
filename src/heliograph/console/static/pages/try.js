// @ts-check
/** Try it: models, a place for pictures, a pad for characters, and the answers. */

import { html, useEffect } from "../html.js";
import { useStore } from "../store.js";
import { DropZone, filesOf } from "../parts/drop.js";
import { DrawingPad } from "../parts/pad.js";
import { Gallery } from "../parts/gallery.js";
import { ModelPicker } from "../parts/models.js";
import { RequestCode } from "../parts/code.js";
import { add, pictures } from "../work/pictures.js";
import { cards, models, readsCharacters } from "../work/models.js";

export function TryPage() {
  const { list, chosen } = useStore(models);
  const model = list?.find(({ name }) => name === chosen);
  const card = useStore(cards)[chosen];
  const isEmpty = useStore(pictures, (all) => all.length === 0);
  const take = (/** @type {File[]} */ files) => { if (model && files.length) add(files, model); };
  useEffect(() => {
    const paste = async (/** @type {ClipboardEvent} */ event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (!target.matches("input:not([type=range], [type=radio]), textarea")) take(await filesOf(event.clipboardData));
    };
    document.addEventListener("paste", paste);
    return () => document.removeEventListener("paste", paste);
  });
  return html`
    <h1 class="hidden">Try it</h1>
    <div class="try">
      <div class="side">
        <${ModelPicker} />
        ${model && card && readsCharacters(card) && html`<${DrawingPad} key=${model.name} model=${model} card=${card} />`}
        <${RequestCode} />
      </div>
      <div class="wide">
        <${DropZone} onFiles=${take} big=${isEmpty} model=${model} />
        <${Gallery} model=${model} />
      </div>
    </div>`;
}
