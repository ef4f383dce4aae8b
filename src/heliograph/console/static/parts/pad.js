// @ts-check
/** A pad to draw a character on, and what the model sees and reads of it. */

import { html, useEffect, useRef, useState } from "../html.js";
import { predict } from "../api.js";
import { problemOf, textOf } from "../problem.js";
import { readAnswer } from "../work/answers.js";
import { LabelBars } from "./labels.js";
import { ProblemNote } from "./text.js";

const SIDE = 280;
const PEN = 20;
const PAUSE_MILLISECONDS = 250;

/** @typedef {[number, number][]} Stroke */

/** Draws strokes, dark on white as on paper. @param {CanvasRenderingContext2D} context @param {Stroke[]} strokes */
function draw(context, strokes) {
  context.fillStyle = "#fff";
  context.fillRect(0, 0, SIDE, SIDE);
  context.strokeStyle = "#111";
  context.lineWidth = PEN;
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(...stroke[0]);
    for (const [index, [x, y]] of stroke.entries()) {
      const [nextX, nextY] = stroke[index + 1] ?? [x, y];
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2); // round, however few points there are
    }
    context.stroke();
  }
}

/** The mean of each square of the pad, light on dark: what the model gets. @param {HTMLCanvasElement} pad @param {HTMLCanvasElement} preview */
function shrink(pad, preview) {
  const context = /** @type {CanvasRenderingContext2D} */ (preview.getContext("2d"));
  const source = /** @type {CanvasRenderingContext2D} */ (pad.getContext("2d")).getImageData(0, 0, SIDE, SIDE).data;
  const seen = context.createImageData(preview.width, preview.height);
  const step = SIDE / preview.width;
  for (let index = 0; index < preview.width * preview.height; index++) {
    const left = Math.round((index % preview.width) * step);
    const top = Math.round(Math.floor(index / preview.width) * step);
    let sum = 0;
    for (let y = top; y < top + step; y++) for (let x = left; x < left + step; x++) sum += source[4 * (y * SIDE + x)];
    seen.data.fill(255 - sum / (step * step), 4 * index, 4 * index + 3);
    seen.data[4 * index + 3] = 255;
  }
  context.putImageData(seen, 0, 0);
}

/** @param {{model: ModelSummary, card: ModelCard}} props */
export function DrawingPad({ model, card }) {
  const pad = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const preview = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const stroke = useRef(/** @type {Stroke | null} */ (null));
  const [strokes, setStrokes] = useState(/** @type {Stroke[]} */ ([]));
  const [read, setRead] = useState(/** @type {{labels?: Label[], problem?: ProblemText}} */ ({}));
  const redraw = (/** @type {Stroke[]} */ all) => {
    const canvas = /** @type {HTMLCanvasElement} */ (pad.current);
    draw(/** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true })), all);
    shrink(canvas, /** @type {HTMLCanvasElement} */ (preview.current));
  };
  useEffect(() => {
    redraw(strokes);
    if (!strokes.length) { setRead({}); return; }
    const stop = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const picture = await new Promise((resolve) => pad.current?.toBlob(resolve));
        const response = await predict(model, /** @type {Blob} */ (picture), "drawing.png", stop.signal);
        if (!response.ok) throw await problemOf(response);
        const answer = await readAnswer(response);
        if (answer.kind === "labels") setRead({ labels: answer.labels });
      } catch (error) {
        if (!stop.signal.aborted) setRead({ problem: textOf(error) });
      }
    }, PAUSE_MILLISECONDS);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [strokes, model.name]);
  const place = (/** @type {PointerEvent} */ event) => {
    const box = /** @type {HTMLCanvasElement} */ (pad.current).getBoundingClientRect();
    return /** @type {[number, number]} */ ([((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height]);
  };
  const begin = (/** @type {PointerEvent} */ event) => {
    event.preventDefault();
    pad.current?.setPointerCapture(event.pointerId);
    stroke.current = [place(event)];
    redraw([...strokes, stroke.current]);
  };
  const go = (/** @type {PointerEvent} */ event) => {
    if (!stroke.current) return;
    stroke.current.push(place(event));
    redraw([...strokes, stroke.current]);
  };
  const end = () => {
    if (stroke.current) setStrokes([...strokes, stroke.current]);
    stroke.current = null;
  };
  const best = read.labels?.[0];
  const { width, height } = card.input;
  return html`
    <section class="panel pad" aria-labelledby="pad-title">
      <div class="panel-head">
        <h2 id="pad-title">Draw one</h2>
        <button type="button" class="plain small" disabled=${!strokes.length} onClick=${() => setStrokes(strokes.slice(0, -1))}>Undo</button>
        <button type="button" class="plain small" disabled=${!strokes.length} onClick=${() => setStrokes([])}>Clear</button>
      </div>
      <canvas ref=${pad} class="paper" width=${SIDE} height=${SIDE} role="img" aria-label="Drawing pad: draw with mouse, pen or finger"
        onPointerDown=${begin} onPointerMove=${go} onPointerUp=${end} onPointerCancel=${end}></canvas>
      <div class="reading">
        <figure><canvas ref=${preview} width=${width} height=${height} role="img" aria-label="What the model sees"></canvas><figcaption>${width} × ${height}, as it sees it</figcaption></figure>
        <div class="read" aria-live="polite">
          ${read.problem ? html`<${ProblemNote} problem=${read.problem} />` : best
            ? html`<span class="character" lang="ja">${best.label}</span><${LabelBars} labels=${/** @type {Label[]} */ (read.labels).slice(0, 3)} />`
            : html`<p class="quiet">One of ${card.labels.length > 20 ? card.labels.length : html`<span lang="ja">${card.labels.join(" ")}</span>`}</p>`}
        </div>
      </div>
    </section>`;
}
