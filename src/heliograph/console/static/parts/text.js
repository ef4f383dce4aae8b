// @ts-check
/** Small pieces of text that many views have. */

import { html, useState } from "../html.js";

/** Text in which what stands between backticks is code. @param {{text: string}} props */
export function WithCode({ text }) {
  return text.split("`").map((part, index) => (index % 2 ? html`<code>${part}</code>` : part));
}

/** @param {{problem: ProblemText}} props */
export function ProblemNote({ problem }) {
  return html`<div class="problem-note" role="alert"><strong>${problem.title}</strong> <span><${WithCode} text=${problem.detail} /></span></div>`;
}

/** Something to be copied. @param {{text: string, label?: string}} props */
export function CopyButton({ text, label = "Copy" }) {
  const [done, setDone] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setDone("Copied");
    } catch {
      setDone("Select and copy it");
    }
    setTimeout(() => setDone(""), 2000);
  };
  return html`<button type="button" class="plain small" onClick=${copy} aria-live="polite">${done || label}</button>`;
}

/** A command to be copied. @param {{text: string, name?: string}} props */
export function Command({ text, name = "command" }) {
  return html`<div class="command"><pre tabindex="0" role="region" aria-label=${name}><code>${text}</code></pre><${CopyButton} text=${text} /></div>`;
}
