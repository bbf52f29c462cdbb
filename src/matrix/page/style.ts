/** The page's style sheet. Every state has a character besides its colour. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #ffffff; --raised: #f6f7f9; --line: #d9dde3; --text: #1b1f26; --quiet: #5d6673;
  --allow: #0b7a53; --allow-ground: #d9f2e6; --deny: #8a93a0; --part: #8a5a00; --part-ground: #fdf0d0;
  --opened: #a3260b; --opened-ground: #ffdfd6; --closed: #0b4fa3; --closed-ground: #dbe9ff; --focus: #2563eb;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171c; --raised: #1c2027; --line: #343b46; --text: #e6e9ee; --quiet: #9aa4b2;
    --allow: #5fd6a4; --allow-ground: #143a2c; --deny: #6f7a89; --part: #f2c14e; --part-ground: #3d3113;
    --opened: #ff9a80; --opened-ground: #4a1d12; --closed: #8fbcff; --closed-ground: #152f56; --focus: #7aa7ff;
  }
}
* { box-sizing: border-box; }
html, body { height: 100%; }
body { margin: 0; display: flex; flex-direction: column; background: var(--ground); color: var(--text); font: 14px/1.45 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem 1rem; padding: .9rem 1.2rem .3rem; }
h1 { font-size: 1.15rem; margin: 0; }
header p { margin: 0; color: var(--quiet); }
#summary { margin-left: auto; }
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1rem; padding: .4rem 1.2rem .7rem; border-bottom: 1px solid var(--line); }
.controls select, .controls input[type=search], button { font: inherit; color: inherit; background: var(--raised); border: 1px solid var(--line); border-radius: 6px; padding: .2rem .5rem; }
button { cursor: pointer; }
.controls button + button { margin-left: -.6rem; }
.legend { display: flex; flex-wrap: wrap; gap: .9rem; margin: 0 0 0 auto; color: var(--quiet); }
.mark { display: inline-grid; place-items: center; width: 1.25rem; height: 1.25rem; margin-right: .35rem; border-radius: 4px; font-weight: 700; line-height: 1; }
main { flex: 1; min-height: 0; display: flex; }
.scroll { flex: 1; min-width: 0; overflow: auto; padding: 0 1.2rem 1.2rem 0; }
table { border-collapse: separate; border-spacing: 0; }
th { font-weight: 400; text-align: left; }
th.name { padding: .1rem .6rem .1rem 1.9rem; white-space: nowrap; max-width: 24rem; overflow: hidden; text-overflow: ellipsis; }
tbody th { position: sticky; left: 0; z-index: 1; background: var(--ground); }
th.name.folded { padding-left: 1.2rem; }
tbody tr.section th { padding: .5rem 0 .1rem 1.2rem; }
tbody tr.section button { position: sticky; left: 1.2rem; }
th button[data-section] { border: 0; padding: 0; background: none; font-weight: 650; white-space: nowrap; }
thead { position: sticky; top: 0; z-index: 2; background: var(--ground); }
thead th.section { padding: .6rem 0 .2rem; border-left: .7rem solid transparent; vertical-align: bottom; }
thead th.narrow { text-align: center; }
thead th.narrow button { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 11rem; overflow: hidden; }
thead th.name { padding: .2rem 0 .4rem; max-width: none; vertical-align: bottom; overflow: visible; }
thead th.name span { writing-mode: vertical-rl; transform: rotate(180deg); display: block; max-height: 12rem; overflow: hidden; text-overflow: ellipsis; margin: 0 auto; }
.corner { position: sticky; left: 0; z-index: 3; background: var(--ground); color: var(--quiet); padding: .6rem .6rem 0 1.2rem; white-space: nowrap; }
td[data-row] { box-sizing: content-box; width: 1.8rem; min-width: 1.8rem; height: 1.7rem; padding: 0; text-align: center; cursor: pointer; font-weight: 700; border: 1px solid transparent; background-clip: padding-box; }
.edge:is(td, th) { border-left: .7rem solid transparent; }
td.none { cursor: default; }
td[data-row]:not(.none):hover { box-shadow: inset 0 0 0 2px var(--quiet); }
td[data-row]:focus-visible { outline: none; box-shadow: inset 0 0 0 2px var(--focus); }
button:focus-visible, summary:focus-visible, select:focus-visible, input:focus-visible { outline: 2px solid var(--focus); outline-offset: -1px; }
td.open { box-shadow: inset 0 0 0 2px var(--text); }
tbody tr:hover th.name { color: var(--focus); }
.allow:is(td, .mark) { color: var(--allow); background-color: var(--allow-ground); }
.deny:is(td, .mark) { color: var(--deny); font-size: 1.2rem; }
.part:is(td, .mark) { color: var(--part); background-color: var(--part-ground); }
:is(.opened, .changed):is(td, .mark, .chip) { color: var(--opened); background-color: var(--opened-ground); }
.closed:is(td, .mark, .chip) { color: var(--closed); background-color: var(--closed-ground); }
aside { position: relative; width: min(34rem, 48vw); overflow: auto; padding: 1rem 1.2rem 2rem; background: var(--raised); border-left: 1px solid var(--line); overflow-wrap: anywhere; }
aside[hidden] { display: none; }
aside h2 { font-size: 1rem; margin: 0 2rem .6rem 0; }
aside h3 { font-size: .95rem; margin: .8rem 0 .1rem; }
aside h4 { font-size: .8rem; margin: .5rem 0 .1rem; color: var(--quiet); font-weight: 600; }
aside p { margin: .2rem 0; }
aside ul { margin: .1rem 0; padding-left: 1.1rem; }
aside summary { cursor: pointer; padding: .25rem 0; }
aside details.port { border-top: 1px solid var(--line); padding: .3rem 0; }
aside .side { border-left: 3px solid var(--line); padding-left: .7rem; }
aside .side.deny { border-color: var(--deny); }
aside .side.allow { border-color: var(--allow); }
aside pre { background: var(--ground); border: 1px solid var(--line); border-radius: 6px; padding: .6rem; overflow: auto; font: 12px/1.4 ui-monospace, monospace; overflow-wrap: normal; }
aside .before { margin-top: .8rem; padding-left: .7rem; }
.chip { border-radius: 99px; padding: .05rem .5rem; margin-left: .5rem; font-size: .8rem; }
.services, .note, .members { color: var(--quiet); font-size: .85rem; }
.services { margin-left: .6rem; }
.close { position: absolute; top: .8rem; right: .8rem; }
.pairs { list-style: none; padding: 0; }
.pair { display: block; width: 100%; text-align: left; border: 0; background: none; padding: .15rem 0; }
footer { padding: .4rem 1.2rem; border-top: 1px solid var(--line); color: var(--quiet); min-height: 2rem; }
footer p { margin: 0; }
@media (max-width: 45rem) { main { flex-direction: column; } aside { width: auto; max-height: 55%; border-left: 0; border-top: 1px solid var(--line); } }
`;
