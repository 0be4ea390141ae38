// How every explorer looks.

export const PANEL_STYLE = `
.explorer-panel { container-type: inline-size; color: var(--panel-text); line-height: 1.4; font-size: 14px; text-align: start;
  --panel-1: var(--series-1, #0072b2); --panel-2: var(--series-2, #c65300); --panel-3: var(--series-3, #007a5a); --panel-4: var(--series-4, #b3568f);
  --panel-text: var(--figure-text, #222222); --panel-grid: var(--figure-grid, #d9d9d9); --panel-inside: #8080800d; color-scheme: light; }
.explorer-panel[data-shade="dark"] { --panel-1: var(--series-1, #5cb8ec); --panel-2: var(--series-2, #f59456); --panel-3: var(--series-3, #3cc9a2); --panel-4: var(--series-4, #e493c6);
  --panel-text: var(--figure-text, #dedede); --panel-grid: var(--figure-grid, #4a4a4a); --panel-inside: #ffffff0a; color-scheme: dark; }
.explorer-panel[data-shade="print"] { --panel-1: #0072b2; --panel-2: #c65300; --panel-3: #007a5a; --panel-4: #b3568f; --panel-text: #222222; --panel-grid: #d9d9d9; }
.explorer-panel *, .explorer-panel *::before { box-sizing: border-box; }
.explorer-panel fieldset { display: flex; flex-wrap: wrap; gap: .5em 1.1em; align-items: end; border: 0; margin: 0 0 .6em; padding: 0; min-width: 0; }
.explorer-panel legend { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.explorer-panel label { display: flex; flex-direction: column; gap: .15em; margin: 0; font-size: .93em; }
.explorer-panel label.check { flex-direction: row; align-items: center; gap: .4em; min-height: 2.1em; }
.explorer-panel label b { font-weight: 600; font-variant-numeric: tabular-nums; }
.explorer-panel .buttons { display: flex; flex-wrap: wrap; gap: .3em; }
.explorer-panel [data-parameter] { width: 10.5em; white-space: nowrap; }
.explorer-panel :is(.check, .wide)[data-parameter] { width: auto; }
.explorer-panel [data-parameter] > :is(input[type=range], input[type=number], select) { width: 100%; }
.explorer-panel .unused { opacity: .45; }
.explorer-panel :is(select, input, button) { font: inherit; color: inherit; margin: 0; max-width: 100%; accent-color: var(--panel-1); }
.explorer-panel :is(select, button, input[type=number], input[type=text]) { min-height: 2.1em; padding: .15em .5em; border: 1px solid color-mix(in srgb, var(--panel-text) 55%, transparent); border-radius: 5px; background: color-mix(in srgb, var(--panel-text) 4%, transparent); }
.explorer-panel select option { color: CanvasText; background: Canvas; }
.explorer-panel input[type=range] { height: 2.1em; }
.explorer-panel :is(sub, sup) { line-height: 0; font-size: .75em; }
.explorer-panel input[type=number] { width: 6.2em; }
.explorer-panel button { cursor: pointer; padding-inline: .8em; }
.explorer-panel button:hover { background: color-mix(in srgb, var(--panel-text) 12%, transparent); }
.explorer-panel button:disabled { opacity: .5; }
.explorer-panel :disabled { cursor: default; }
.explorer-panel .selected-name { display: inline-block; min-width: 3.8em; }
.explorer-panel :is(select, input, button):focus-visible { outline: 2px solid var(--panel-2); outline-offset: 2px; }
:where(.explorer-panel) .panels { display: grid; grid-template-columns: minmax(0, 1fr); gap: .9em 1.2em; }
.explorer-panel figure { margin: 0; padding: 0; min-width: 0; display: flex; flex-direction: column; width: auto; }
.explorer-panel .panels figcaption { margin: 0 0 .2em; padding: 0; font: inherit; font-size: .93em; text-align: start; color: inherit; }
.explorer-panel .panels figcaption strong { color: inherit; margin-inline-end: .6em; }
.explorer-panel .key { white-space: nowrap; margin-inline-end: .7em; }
.explorer-panel .key::before { content: ""; display: inline-block; width: 1.3em; border-top: 3px solid var(--color); vertical-align: .25em; margin-inline-end: .35em; }
.explorer-panel .key.dashed::before { border-top-style: dashed; }
.explorer-panel .key.dotted::before { border-top-style: dotted; }
.explorer-panel .key.bar::before { border-top: .7em solid var(--color); vertical-align: -.05em; width: .7em; }
.explorer-panel .key.dot::before { border-top: 0; width: .55em; height: .55em; border-radius: 50%; background: var(--color); vertical-align: .05em; }
.explorer-panel .key.ring::before { border: 2px solid var(--color); width: .75em; height: .75em; border-radius: 50%; vertical-align: -.05em; }
.explorer-panel canvas { display: block; width: 100%; height: 170px; flex: 1 1 170px; min-height: 0; }
.explorer-panel .picture > svg { display: block; width: 100%; max-width: 430px; aspect-ratio: 1; margin: 0 auto; touch-action: pan-y; user-select: none; -webkit-user-select: none; }
.explorer-panel .picture > svg text { fill: var(--panel-text); font-size: 11px; pointer-events: none; }
.explorer-panel .picture [role=slider] { cursor: grab; outline: none; }
.explorer-panel svg.dragging, .explorer-panel svg.dragging * { cursor: grabbing; }
.explorer-panel .point { justify-content: center; gap: .4em .5em; margin: .4em 0 0; font-size: .93em; }
.explorer-panel .point label { font-size: 1em; }
.explorer-panel .point input[type=number] { width: 6em; }
.explorer-panel .point input[name=selected] { width: 4.3em; }
:where(.explorer-panel) .reading { margin: .35em 0 0; text-align: center; font-variant-numeric: tabular-nums; min-height: 2.8em; }
.explorer-panel .hint { margin: .2em 0 0; text-align: center; font-size: .86em; }
.explorer-panel > output { display: block; margin-top: .8em; font-size: .93em; min-height: 11.2em; }
.explorer-panel details { margin-top: .5em; font-size: .93em; }
.explorer-panel summary { cursor: pointer; }
.explorer-panel ul { margin: .3em 0 0; padding-inline-start: 1.3em; }
@container (min-width: 600px) { .explorer-panel > output { min-height: 7em; } }
@container (min-width: 1000px) { .explorer-panel > output { min-height: 4.2em; } }
@media (pointer: coarse) { .explorer-panel .keys { display: none; } }
@media (prefers-reduced-motion: no-preference) { .explorer-panel svg.settling g > * { transition: transform .35s ease-out; } }
@media print {
  .explorer-panel { print-color-adjust: exact; font-size: 12px; } /* with its caption it fits on one sheet */
  .explorer-panel :is(fieldset, label, .hint, details, .pen) { display: none !important; }
  .explorer-panel figure { break-inside: avoid; }
  .explorer-panel canvas { object-fit: contain; max-height: 170px; }
  .explorer-panel .picture > svg { max-width: 270px; }
  .explorer-panel .reading { min-height: 0 !important; }
  .explorer-panel > output { min-height: 0; }
}
.explorer-question:empty { display: none; }`;
