"""The one style sheet of the portal's pages: no script, no font, no image from elsewhere."""

CSS = """
:root { --ink: #1b2733; --muted: #52606d; --accent: #0b5394; --soft: #f5f7fa; --line: #d5dce4;
  --green: #1e7b4f;
  --amber: #9a6700; --red: #b3261e; --paper: #fff; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; color: var(--ink); background: var(--soft); line-height: 1.55;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
a { color: var(--accent); text-underline-offset: .15em; }
a:hover { text-decoration-thickness: 2px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 1rem; top: .5rem; background: var(--paper); padding: .4rem .8rem; z-index: 2; }
.bar { background: var(--ink); color: #fff; }
.bar div { padding-block: .85rem; display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center;
  justify-content: space-between; }
.bar a { color: #fff; text-decoration: none; } .bar a:hover { text-decoration: underline; }
.bar :focus-visible { outline-color: #fff; }
.bar .brand { font-weight: 650; letter-spacing: .01em; }
.bar .who { font-size: .9rem; color: #c9d3dd; }
.wide { max-width: 76rem; margin: 0 auto; padding-inline: 1.25rem; }
main { padding-block: 1.75rem 3rem; }
h1 { font-size: clamp(1.5rem, 1.1rem + 1.6vw, 2.1rem); line-height: 1.2; margin: 0 0 .5rem;
  overflow-wrap: anywhere;
  letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 0; }
p { margin: 0 0 .8rem; max-width: 70ch; overflow-wrap: anywhere; }
.lead { color: var(--muted); }
.trail { font-size: .9rem; margin: 0 0 .75rem; }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 1.25rem; }
.section { margin-top: 1.25rem; }
.head { display: flex; flex-wrap: wrap; gap: .25rem 1rem; justify-content: space-between;
  align-items: baseline;
  margin-bottom: .75rem; }
.badge { display: inline-block; font-size: .78rem; font-weight: 600; border-radius: 99px;
  padding: .12rem .65rem;
  border: 1px solid currentColor; background: var(--paper); white-space: nowrap; vertical-align: middle; }
.public { color: var(--green); } .private { color: var(--amber); } .trouble { color: var(--red); }
.search { display: flex; gap: .5rem; margin: 1rem 0 1.25rem; max-width: 38rem; }
.search input { flex: 1; min-width: 0; font: inherit; padding: .55rem .8rem; border: 1px solid #8794a1;
  border-radius: 8px; background: var(--paper); color: var(--ink); }
button, .button { font: inherit; font-weight: 600; padding: .55rem 1rem; border: 1px solid var(--accent);
  border-radius: 8px; background: var(--accent); color: #fff; cursor: pointer; text-decoration: none;
  display: inline-block; line-height: 1.4; }
.button.quiet { background: var(--paper); color: var(--accent); }
.button:hover, button:hover { filter: brightness(.93); }
.actions { display: flex; flex-wrap: wrap; gap: .5rem; margin-top: 1rem; }
.list { list-style: none; margin: 0; padding: 0; display: grid; gap: .75rem; }
.list h2 { font-size: 1.1rem; margin-bottom: .25rem; overflow-wrap: anywhere; }
.list p { margin-bottom: .4rem; }
.facts { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; font-size: .88rem; color: var(--muted); margin: 0;
  padding: 0; list-style: none; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .9rem 1.5rem;
  margin: 0; }
dt { font-size: .8rem; color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { position: relative; overflow-x: auto; border: 1px solid var(--line); border-radius: 8px;
  background: var(--paper); }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { padding: .5rem .8rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  max-width: 26rem; overflow-wrap: anywhere; }
tbody tr:last-child td, tbody tr:last-child th { border-bottom: 0; }
thead th { background: var(--soft); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 600; }
tbody tr:hover { background: #f9fbfd; }
thead a { color: inherit; text-decoration: underline dotted #8794a1; }
thead a:hover { text-decoration: underline; }
thead a span { color: var(--accent); }
.data { width: max-content; min-width: 100%; } .data td { max-width: 24rem; } .data th { max-width: 18rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.date { white-space: nowrap; font-variant-numeric: tabular-nums; }
code { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, "Liberation Mono", monospace;
  font-size: .9em; }
.none { color: var(--muted); }
.pager { display: flex; gap: .5rem; justify-content: flex-end; margin-top: .75rem; }
.pager .off { color: var(--muted); border: 1px solid var(--line); background: var(--soft); border-radius: 8px;
  padding: .55rem 1rem; font-weight: 600; }
footer { color: var(--muted); font-size: .88rem; border-top: 1px solid var(--line); padding: 1rem 0 2rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
@media (max-width: 40rem) {
  .wide { padding-inline: 1rem; } .card { padding: 1rem; } main { padding-block: 1.25rem 2.5rem; }
  dl { grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .8rem 1rem; }
  .actions .button { flex: 1 1 30%; text-align: center; } .actions .button:first-child { flex-basis: 100%; }
  .stack thead { display: none; }
  .stack tr { display: block; padding: .7rem .9rem; border-bottom: 1px solid var(--line); }
  .stack tbody tr:last-child { border-bottom: 0; }
  .stack th, .stack td { display: block; padding: .05rem 0; border: 0; max-width: none; }
  .pager { justify-content: stretch; } .pager > * { flex: 1; text-align: center; }
}
@media print {
  body { background: #fff; font-size: 10pt; } .bar { background: none; color: #000;
  border-bottom: 1px solid #000; }
  .bar a { color: #000; } .actions, .pager, .search, .who, .skip { display: none; }
  .card, .scroll { border: 0; padding: 0; overflow: visible; } tr { break-inside: avoid; }
  a { color: inherit; text-decoration: none; } thead { display: table-header-group; }
}
"""
