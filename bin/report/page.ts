import { formatShare, formatSize } from '../format.ts';
import { plotPredictions, plotSavings, plotStages } from './charts.ts';
import type { PageData, PatchRow } from './data.ts';
import { escapeHtml, formatSeconds, section } from './html.ts';
import { SCRIPT } from './script.ts';
import { STYLE } from './style.ts';
import { formatTable, size, type Table } from './table.ts';

/** The page of a run: one file without references to others. */
export function formatPage(data: PageData): string {
  const { run, store, started, finished, images, bytes, encodeSeconds, rows, stages, failures } = data;
  const seconds = (Date.parse(finished) - Date.parse(started)) / 1000;
  const facts: readonly (readonly [string, string])[] = [
    ['saved', formatShare(bytes.saved, bytes.pull)],
    ['moved by patches', formatSize(bytes.patches)],
    ['moved by pulls', formatSize(bytes.pull)],
    ['images', String(images)],
    ['patches', String(rows.filter(({ result }) => result === 'patch').length)],
    ['failures', String(failures.length)],
    ['duration', formatSeconds(seconds)],
    ['time of encoders', formatSeconds(encodeSeconds)],
  ];
  const title = `panamax run ${run}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the contents</a>
<header>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(store)}, ${escapeHtml(started)} to ${escapeHtml(finished)}</p>
</header>
<main id="main">
<dl class="facts">
${facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeHtml(value)}</dd></div>`).join('\n')}
</dl>
<section aria-labelledby="s1"><h2 id="s1">Savings by image and release</h2>
<p class="legend"><span class="key patch"></span> patch <span class="key pull"></span> saved of a pull <span class="key none"></span> pull</p>
${plotSavings(rows)}</section>
${section('s2', 'Failures', failures.length === 0 ? '<p>None.</p>' : formatTable(failureTable(failures)))}
${section('s3', 'Patches and their sources', patchSection(rows))}
${section('s4', 'Predicted and actual sizes', plotPredictions(rows))}
${section('s5', 'Time by stage', plotStages(stages))}
</main>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

function patchSection(rows: readonly PatchRow[]): string {
  const why =
    'A source is chosen by the predicted size of its patch: bytes of the target that it has, that it has in a similar form, and that are new.';
  return `<p>${why}</p>\n${formatTable(patchTable(rows))}`;
}

export function patchTable(rows: readonly PatchRow[]): Table {
  return {
    id: 'patches',
    caption: 'Patches of the run, and pairs without one',
    head: [
      'Target',
      'Source',
      'Format',
      'Result',
      'Pull',
      'Predicted',
      'Patch',
      'Ratio',
      'Identical',
      'Similar',
      'New',
      'Time',
    ],
    left: new Set([0, 1, 2, 3]),
    rows: rows.map((row) => [
      [row.target],
      [row.source],
      [row.format],
      [row.result],
      size(row.pull),
      size(row.predicted),
      size(row.actual),
      row.actual === undefined ? ['–', -1] : [formatShare(row.actual, row.pull), row.actual / row.pull],
      size(row.identical),
      size(row.changed),
      size(row.fresh),
      row.seconds === undefined ? ['–', -1] : [formatSeconds(row.seconds), row.seconds],
    ]),
  };
}

function failureTable(failures: PageData['failures']): Table {
  return {
    id: 'failures',
    caption: 'Images and pairs that failed',
    head: ['Item', 'Kind', 'Reason'],
    left: new Set([0, 1, 2]),
    rows: failures.map(({ what, kind, message }) => [[what], [kind], [message]]),
  };
}
