"""The one style sheet of the portal's pages: no script, no font, no image from elsewhere."""

CSS = """
:root { color-scheme: light dark; --ink: #18222d; --muted: #52606d; --accent: #0b5394; --accent-ink: #fff;
  --soft: #f4f6f9;
  --line: #d6dde5; --edge: #8794a1; --paper: #fff; --hover: #f3f7fb; --green: #1b6e46; --amber: #8a5a00;
    --red: #a8231b;
  --bar: #12324f; --bar-ink: #fff; --bar-muted: #cfdbe6; --band: #eaf1f8; --shade: #18222d40; --veil: #18222d0a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6ebf0; --muted: #a3b0bd; --accent: #8cc0f2; --accent-ink: #0b1a28; --soft: #10161c;
    --line: #2f3b47;
    --edge: #6b7a89; --paper: #182029; --hover: #1f2a35; --green: #74d0a0; --amber: #f0bf63; --red: #ff9a90;
    --bar: #0b1a28; --bar-muted: #b4c4d3; --band: #131d27; --shade: #000c; --veil: #e6ebf00d; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; scroll-padding-top: .75rem; }
body { margin: 0; color: var(--ink); background: var(--soft); line-height: 1.5; min-height: 100vh;
  display: flex;
  flex-direction: column;
  font-family: -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", "DejaVu Sans", Arial,
  sans-serif; }
main { flex: 1 0 auto; padding-bottom: 3rem; }
a { color: var(--accent); text-underline-offset: .15em; overflow-wrap: anywhere; }
a:hover { text-decoration-thickness: 2px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
.wide { max-width: 78rem; margin: 0 auto; padding-inline: 1.5rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 1rem; top: .5rem; background: var(--paper); color: var(--accent); padding: .5rem
  .9rem; z-index: 3; }

.bar { background: var(--bar); color: var(--bar-ink); }
.bar .wide { padding-block: .8rem; display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center;
  justify-content: space-between; }
.bar a { color: var(--bar-ink); text-decoration: none; } .bar a:hover { text-decoration: underline; }
.bar :focus-visible { outline-color: var(--bar-ink); }
.brand { font-weight: 650; display: inline-flex; align-items: center; gap: .6rem; }
.brand::before { content: ""; width: 1.15rem; height: 1.15rem; border-radius: .3rem;
  background: linear-gradient(90deg, transparent 18%, #fff 18% 32%, transparent 32% 43%, #fff 43% 57%,
    transparent 57% 68%,
    #fff 68% 82%, transparent 82%) 0 100% / 100% 70% no-repeat, #3d7fb8; }
.who { font-size: .9rem; color: var(--bar-muted); } .role { opacity: .9; }
.role::before { content: "\\00b7"; margin-right: .3rem; }

.hero { background: var(--band); border-bottom: 1px solid var(--line); }
.hero > .wide { padding-block: 1.75rem 1.5rem; }
h1 { font-size: clamp(1.5rem, 1.1rem + 1.7vw, 2.2rem); line-height: 1.18; margin: 0 0 .5rem;
  overflow-wrap: anywhere;
  letter-spacing: -.015em; max-width: 40ch; }
h2 { font-size: 1.25rem; margin: 0; line-height: 1.3; }
h3 { font-size: 1.1rem; margin: 0 0 .3rem; line-height: 1.35; overflow-wrap: anywhere; }
p { margin: 0 0 .8rem; max-width: 72ch; overflow-wrap: anywhere; }
.lead, .where { color: var(--muted); }
.trail { font-size: .9rem; margin: 0 0 .6rem; } .trail a::before { content: "\\2190"; margin-right: .35rem; }
.refusal { padding-block: 3rem; }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 1.25rem; }
.section { margin-top: 1.5rem; }
.head { display: flex; flex-wrap: wrap; gap: .25rem 1rem; justify-content: space-between; align-items:
  baseline;
  margin-bottom: .9rem; }
.head > * { overflow-wrap: anywhere; min-width: 0; }
.badge { display: inline-block; font-size: .78rem; font-weight: 600; border-radius: 99px; padding: .1rem
  .65rem;
  border: 1px solid currentColor; background: var(--paper); vertical-align: middle; letter-spacing:
    normal; max-width: 100%;
  overflow-wrap: anywhere; }
.open { color: var(--green); } .held { color: var(--amber); } .plain.badge { color: var(--muted); }
.marks { display: flex; flex-wrap: wrap; gap: .4rem; }
.none { color: var(--muted); }
.empty { color: var(--muted); padding: 1.5rem 0; text-align: center; max-width: none; margin: 0; }
.wrong { color: var(--red); margin: .5rem 0; }

input, select, button, .button { font: inherit; line-height: 1.4; border-radius: 8px; max-width: 100%; }
input, select { padding: .5rem .7rem; border: 1px solid var(--edge); background: var(--paper); color:
  var(--ink); min-width: 0; }
::placeholder { color: var(--muted); opacity: 1; }
button, .button { font-weight: 600; padding: .5rem 1rem; border: 1px solid var(--accent); background:
  var(--accent);
  color: var(--accent-ink); cursor: pointer; text-decoration: none; display: inline-block; text-align:
    center; }
.quiet { background: var(--paper); color: var(--accent); border-color: var(--edge); }
.button:hover, button:hover { filter: brightness(.94); }
.off { background: transparent; color: var(--muted); border-color: var(--line); cursor: default; }
.button.off:hover { filter: none; }
.actions { display: flex; flex-wrap: wrap; gap: .5rem; margin-top: 1.1rem; }
.search { display: flex; gap: .5rem; max-width: 42rem; } .search input { flex: 1; }
.hero .search { margin-top: 1rem; }

.chips { list-style: none; display: flex; flex-wrap: wrap; gap: .45rem; margin: 1.25rem 0 0; padding: 0; }
.chip { display: inline-block; padding: .3rem .8rem; border: 1px solid var(--line); border-radius: 1.1rem;
  background: var(--paper); color: var(--ink); text-decoration: none; font-size: .9rem; }
.chip:hover { border-color: var(--accent); }
.chip[aria-current] { background: var(--accent); border-color: var(--accent); color: var(--accent-ink);
  font-weight: 600; }
.chip .count, .chip .cross { color: var(--muted); font-variant-numeric: tabular-nums; }
.chip[aria-current] .count { color: inherit; }
.section .chips { margin: .25rem 0 .9rem; }
.wide > .head { margin: 1.5rem 0 .8rem; }
.orders { display: flex; flex-wrap: wrap; gap: .25rem .75rem; font-size: .92rem; color: var(--muted); }
.orders ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem .75rem; margin: 0; padding: 0; }
.orders a[aria-current] { color: var(--ink); font-weight: 600; text-decoration: none; }

.list { list-style: none; margin: 0; padding: 0; display: grid; gap: .75rem; }
.item { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 1rem 2.5rem; }
.item p { margin: 0 0 .5rem; }
.item h3 a { text-decoration: none; } .item h3 a:hover { text-decoration: underline; }
.facts { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem .55rem; font-size: .88rem; color:
  var(--muted); margin: 0;
  padding: 0; overflow-wrap: anywhere; }
.facts li + li::before { content: "\\00b7"; margin-right: .55rem; }
.figures { display: flex; flex-wrap: wrap; gap: .75rem 2.25rem; margin: 0; }
.hero .figures { margin-top: 1.1rem; }
.figures dt { font-size: .8rem; color: var(--muted); } .figures dd { margin: 0; font-weight: 600;
  overflow-wrap: anywhere; }
.item .figures { align-content: flex-start; flex-wrap: nowrap; gap: 1.5rem; text-align: right; }
.item .figures div { min-width: 4.5rem; } .item .figures dd { font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.parts { margin: 1.4rem 0 -1.5rem; border-top: 1px solid var(--line); }
.parts ul { list-style: none; display: flex; flex-wrap: wrap; gap: 0 1.5rem; margin: 0; padding: 0; }
.parts a { display: block; padding: .65rem 0; text-decoration: none; font-weight: 600; font-size: .95rem; }
.parts a:hover { text-decoration: underline; }

.section dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)); gap:
  1rem 1.75rem;
  margin: 0; }
.section dl > div { min-width: 0; }
.section dt { font-size: .82rem; color: var(--muted); overflow-wrap: anywhere; }
.section dd { margin: 0; overflow-wrap: anywhere; }
.wholly { grid-column: 1 / -1; padding-top: .9rem; border-top: 1px solid var(--line); }
.section > ul.plain { margin: 0; padding-left: 1.2rem; } .section > p:last-child { margin: 0; }
code { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, "Liberation Mono", monospace;
  font-size: .88em;
  overflow-wrap: anywhere; }

.asking { margin-bottom: 1rem; }
.filters { margin-top: .75rem; border: 1px solid var(--line); border-radius: 8px; }
.filters > summary { padding: .55rem .9rem; cursor: pointer; font-weight: 600; color: var(--accent); }
.filters[open] { padding-bottom: 1rem; } .filters > :not(summary) { margin-inline: .9rem; }
.fields { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr));
  gap: .9rem 1.5rem; padding-top: .5rem; align-items: start; }
.fields.order { margin-top: 1rem; padding-top: 1rem; border-top: 1px solid var(--line); }
.field > label, legend { display: block; font-size: .88rem; font-weight: 600; margin-bottom: .25rem;
  padding: 0;
  overflow-wrap: anywhere; max-width: 100%; }
.field > input, .field > select { width: 100%; }
fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
.pair { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: .1rem .6rem; }
.pair label { font-size: .8rem; color: var(--muted); display: block; }
.pair input { width: 100%; padding-inline: .5rem; font-size: .94rem; }

.scroll { position: relative; overflow-x: auto; border: 1px solid var(--line); border-radius: 8px;
  background: linear-gradient(90deg, var(--paper) 35%, transparent) 0 0 / 2.5rem 100% no-repeat local,
    linear-gradient(270deg, var(--paper) 35%, transparent) 100% 0 / 2.5rem 100% no-repeat local,
    linear-gradient(90deg, var(--shade), transparent) 0 0 / .8rem 100% no-repeat scroll,
    linear-gradient(270deg, var(--shade), transparent) 100% 0 / .8rem 100% no-repeat scroll, var(--paper); }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { padding: .5rem .85rem; text-align: start; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
tbody tr:last-child > * { border-bottom: 0; }
thead th { background: var(--soft); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 600; }
tbody tr:hover { background: var(--hover); }
thead a { color: inherit; text-decoration: none; } thead a:hover { text-decoration: underline; }
.mark { color: var(--accent); font-size: .8em; margin-left: .35em; display: inline-block; }
th:not([aria-sort]) a .mark::before { content: "\\2195"; color: var(--edge); }
.data thead th { background: var(--veil); }
.data tbody tr:hover { background: var(--veil); }
.data { width: max-content; min-width: 100%; } .data td { max-width: 24rem; } .data th { max-width: 16rem;
  min-width: 4.5rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.number { white-space: normal; } td.date, td.place { white-space: nowrap; font-variant-numeric:
  tabular-nums; }
td.date { overflow-wrap: normal; }
.long > summary { cursor: pointer; list-style: none; } .long > summary::-webkit-details-marker { display:
  none; }
.long .more { color: var(--accent); text-decoration: underline; white-space: nowrap; font-size: .9em; }
.long[open] > summary .first { display: none; }
.long[open] > summary .more { font-size: 0; } .long[open] > summary .more::after { content: "Show less";
  font-size: .83rem; }
.data .long { min-width: 15rem; } .data .long > summary { white-space: nowrap; }
td .long > div { white-space: pre-wrap; }

.pager { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin-top: 1rem; }
.pager .where { margin-inline: .5rem; font-variant-numeric: tabular-nums; }
.jump { display: flex; gap: .5rem; align-items: center; margin-left: auto; }
.jump label { white-space: nowrap; color: var(--muted); }
.jump input { width: 7rem; }
footer { color: var(--muted); font-size: .88rem; border-top: 1px solid var(--line); padding: 1rem 0 1.5rem; }
footer .wide { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; justify-content: space-between; }

@media (max-width: 48rem) {
  .item { grid-template-columns: minmax(0, 1fr); gap: .75rem; }
  .item .figures { text-align: left; gap: 1.5rem; }
}
@media (max-width: 40rem) {
  .item .facts { display: block; } .item .facts li + li::before { content: none; }
  .wide { padding-inline: 1rem; } .card { padding: 1rem; } .hero > .wide { padding-block: 1.25rem; }
  .parts { margin-bottom: -1.25rem; }
  .section dl { grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .9rem 1rem; }
  .actions .button { flex: 1 1 28%; } .hero .actions .button:first-child { flex-basis: 100%; }
  .stack thead { display: none; }
  .stack, .stack tbody { display: block; }
  .stack tr { display: block; padding: .8rem .9rem; border-bottom: 1px solid var(--line); }
  .stack tbody tr:last-child { border-bottom: 0; }
  .stack th, .stack td { display: block; padding: .1rem 0; border: 0; text-align: start; white-space: normal; }
  .stack td { display: grid; grid-template-columns: 6.5rem minmax(0, 1fr); gap: .5rem; }
  .stack td::before { content: attr(data-label); color: var(--muted); font-size: .85rem; }
  .stack td > * { min-width: 0; }
  .pager .button { flex: 1 1 20%; padding-inline: .3rem; } .pager .where { flex: 1 1 100%; order: -1;
    margin: 0; text-align: center; }
  .jump { margin: 0; flex: 1 1 100%; } .jump input { flex: 1; }
}
@media print {
  :root { --ink: #000; --muted: #333; --accent: #000; --soft: #fff; --line: #999; --paper: #fff; --band:
    #fff; --bar: #fff;
    --bar-ink: #000; }
  body { font-size: 10pt; } .bar { border-bottom: 1px solid #000; }
  .actions, .pager, .search, .who, .skip, .filters, .parts, .chips, .orders, .mark, #programs { display:
    none; }
  .card, .scroll { border: 0; padding: 0; overflow: visible; background: none; } .hero { border: 0; }
  .data { width: 100%; font-size: 8pt; } .data td, .data th { max-width: none; padding: .2rem .3rem;
    white-space: normal; }
  tr { break-inside: avoid; } thead { display: table-header-group; } a { text-decoration: none; }
}
"""
