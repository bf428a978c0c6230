/** Follows the colours of the system. Contrasts are at least 4.5 to 1 for text and 3 to 1 for shapes (WCAG 2.2, AA). */
export const STYLE = `
:root { color-scheme: light dark; --back: #fff; --text: #1b1f24; --soft: #59636e; --line: #c8ced6; --patch: #0b62c4; --pull: #b9d6f7; --none: #9a4a00; --s0: #0b62c4; --s1: #9a4a00; --s2: #1a7f37; }
@media (prefers-color-scheme: dark) { :root { --back: #14181d; --text: #e7ebf0; --soft: #a3adb8; --line: #3a434d; --patch: #5aa9ff; --pull: #27415f; --none: #ffa657; --s0: #5aa9ff; --s1: #ffa657; --s2: #56d364; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
header, main { max-width: 72rem; margin: 0 auto; padding: 0 1rem; }
h1 { margin: 1.5rem 0 0; font-size: 1.6rem; overflow-wrap: anywhere; } h2 { margin: 2.5rem 0 .5rem; font-size: 1.25rem; }
p { margin: .25rem 0 .75rem; color: var(--soft); overflow-wrap: anywhere; }
.skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; top: .5rem; background: var(--back); padding: .5rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1.5rem 0 0; }
.facts div { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.plot, .scroll { overflow-x: auto; } .plot svg { display: block; min-width: 40rem; max-width: 60rem; width: 100%; }
svg text { fill: var(--text); font-size: 12px; } svg .heading { font-weight: 600; font-size: 13px; }
.patch { fill: var(--patch); background: var(--patch); } .pull { fill: var(--pull); background: var(--pull); } .none { fill: var(--none); background: var(--none); }
.stage0 { fill: var(--s0); } .stage1 { fill: var(--s1); } .stage2 { fill: var(--s2); }
.grid { stroke: var(--line); fill: none; } .line { stroke: var(--soft); stroke-dasharray: 4 4; fill: none; } circle { fill-opacity: .75; }
.key { display: inline-block; width: .9em; height: .9em; border-radius: 2px; margin-left: 1rem; vertical-align: -.1em; } .key:first-child { margin-left: 0; }
.filter { margin: .75rem 0; } input { font: inherit; padding: .35rem .6rem; border: 1px solid var(--soft); border-radius: .35rem; background: var(--back); color: var(--text); } output { color: var(--soft); margin-left: .75rem; }
table { border-collapse: collapse; min-width: 100%; font-size: .9rem; } caption { text-align: left; color: var(--soft); padding-bottom: .35rem; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; } td { font-variant-numeric: tabular-nums; }
#failures td:last-child { white-space: normal; min-width: 20rem; } .number { text-align: right; }
th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: .2rem 0; cursor: pointer; }
th[aria-sort=ascending] button::after { content: ' ▲'; } th[aria-sort=descending] button::after { content: ' ▼'; }
:focus-visible { outline: 2px solid var(--patch); outline-offset: 2px; }
@media print { .filter, .skip { display: none; } .plot svg { min-width: 0; } }
`;
