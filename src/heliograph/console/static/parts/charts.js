// @ts-check
/** The queue, the rate, the time and the workers of the last minutes, one below the other on the same time axis. */

import uPlot from "../vendor/uplot.js";
import { html, useEffect, useRef } from "../html.js";
import { useStore } from "../store.js";
import { numbers } from "../work/numbers.js";
import { colours } from "./theme.js";

const HEIGHT = 84;
const AXIS_HEIGHT = 22;
const SPAN_SECONDS = 300;
const SHORTEST_SECONDS = 60;
const SYNC = "fleet";
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000];
const PARTS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, ...WHOLE];

/** @typedef {{name: string, colour: string, of: (now: Numbers, before: Numbers | undefined) => number | null}} Line */

/** @param {Numbers} now @param {Numbers | undefined} before */
function rate(now, before) {
  if (!before) return null;
  const seconds = (Date.parse(now.at) - Date.parse(before.at)) / 1000;
  return seconds > 0 ? Math.max(0, now.finished - before.finished) / seconds : null;
}

/** @type {{title: string, unit: string, lines: Line[]}[]} */
const CHARTS = [
  { title: "Queue", unit: "jobs", lines: [
    { name: "waiting", colour: "--chart-1", of: ({ waiting }) => waiting },
    { name: "running", colour: "--chart-2", of: ({ running }) => running },
  ] },
  { title: "Rate", unit: "jobs/s", lines: [{ name: "finished", colour: "--chart-3", of: rate }] },
  { title: "p95", unit: "s", lines: [{ name: "95 of 100 within", colour: "--chart-4", of: ({ p95_seconds: p95 }) => p95 }] },
  { title: "Workers", unit: "", lines: [
    { name: "ready", colour: "--good", of: ({ workers }) => (workers.ready ?? 0) + (workers.busy ?? 0) },
    { name: "busy", colour: "--chart-1", of: ({ workers }) => workers.busy ?? 0 },
  ] },
];

/** @param {number | null} value */
const short = (value) => (value === null ? "–" : value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toFixed(value < 1 ? 2 : 1));

export function Charts() {
  const moments = useStore(numbers);
  const times = moments.map(({ at }) => Date.parse(at) / 1000);
  return html`
    <section class="panel charts" aria-labelledby="charts-title">
      <div class="panel-head"><h2 id="charts-title">The last five minutes</h2></div>
      ${CHARTS.map(({ title, unit, lines }, index) => {
        if (title === "p95" && moments.every(({ p95_seconds: p95 }) => p95 === null)) return null; // not told, or nothing ended
        const series = lines.map(({ of }) => moments.map((moment, at) => of(moment, moments[at - 1])));
        return html`
          <figure key=${title} class="chart">
            <figcaption><h3>${title}</h3>${lines.map(({ name, colour }, line) => html`
              <span key=${name} class="key" style=${{ "--tone": `var(${colour})` }}>${name} <b>${short(series[line].at(-1) ?? null)}</b> ${unit}</span>`)}</figcaption>
            <${Plot} title=${title} times=${times} series=${series} lines=${lines} unit=${unit} isLast=${index === CHARTS.length - 1} />
          </figure>`;
      })}
    </section>`;
}

/** @param {{title: string, times: number[], series: (number | null)[][], lines: Line[], unit: string, isLast: boolean}} props */
function Plot({ title, times, series, lines, unit, isLast }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  const plot = useRef(/** @type {uPlot | null} */ (null));
  const scheme = useStore(colours);
  useEffect(() => {
    const parent = /** @type {HTMLElement} */ (element.current);
    const made = new uPlot(options(parent, lines, isLast, !unit.includes("s") || unit === "jobs"), [times, ...series], parent);
    plot.current = made;
    const sizes = new ResizeObserver(() => made.setSize({ width: parent.clientWidth, height: HEIGHT + (isLast ? AXIS_HEIGHT : 0) }));
    sizes.observe(parent);
    return () => { sizes.disconnect(); made.destroy(); };
  }, [scheme]);
  useEffect(() => {
    plot.current?.setData([times, ...series], false);
    const now = times.at(-1) ?? Date.now() / 1000;
    plot.current?.setScale("x", { min: Math.max(now - SPAN_SECONDS, Math.min(times[0] ?? now, now - SHORTEST_SECONDS)), max: now });
  });
  const now = lines.map(({ name }, line) => `${name} ${short(series[line].at(-1) ?? null)}`).join(", ");
  return html`<div class=${isLast ? "plot last" : "plot"} ref=${element} role="img" aria-label=${`${title}: ${now}`}></div>`;
}

/** @param {HTMLElement} parent @param {Line[]} lines @param {boolean} isLast @param {boolean} isWhole @returns {uPlot.Options} */
function options(parent, lines, isLast, isWhole) {
  const styles = getComputedStyle(parent);
  const probe = parent.appendChild(document.createElement("i"));
  const paint = (/** @type {string} */ name) => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };
  const ink = paint("--quiet");
  const line = paint("--line");
  const font = `11px ${styles.fontFamily}`;
  const series = lines.map(({ colour }, index) => ({ stroke: paint(colour), width: 2, points: { show: false }, ...(index === 0 && { fill: `color-mix(in srgb, ${paint(colour)} 14%, transparent)` }) }));
  probe.remove();
  return {
    width: parent.clientWidth,
    height: HEIGHT + (isLast ? AXIS_HEIGHT : 0),
    padding: [8, 30, 8, 0], // so that the last time on the axis is whole
    legend: { show: false },
    cursor: { sync: { key: SYNC }, drag: { x: false, y: false }, points: { size: 7 } },
    scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 1) * 1.15)] } },
    series: [{}, ...series],
    axes: [
      { show: isLast, stroke: ink, font, size: AXIS_HEIGHT, gap: 2, grid: { show: false }, ticks: { show: false }, values: (_, splits) => splits.map((at) => new Date(1000 * at).toLocaleTimeString("en-GB")), space: 90 },
      { incrs: isWhole ? WHOLE : PARTS, stroke: ink, font, size: 40, gap: 4, grid: { stroke: line, width: 1 }, ticks: { show: false }, space: 18 },
    ],
  };
}
