import { sumBytes } from '../../lib/run/report.ts';
import type { QueueCounts } from '../../lib/queue/queues.ts';
import { STAGES } from '../../lib/run/stage.ts';
import { formatShare, formatSize } from '../format.ts';
import { patchTable } from '../report/page.ts';
import { escapeHtml, formatSeconds, section } from '../report/html.ts';
import { formatTable, size, type Cell, type Table } from '../report/table.ts';
import { plotReleases } from './graph.ts';
import { groupByImage, type ImagePatches, type SiteSavings } from './releases.ts';
import type { RunRow, Runs } from './runs.ts';

/** The figures of a dashboard at one moment. */
export interface DashboardData extends Runs {
  readonly store: string;
  /** Undefined without an inventory. A text tells why it cannot be read. */
  readonly sites: readonly SiteSavings[] | string | undefined;
  /** Undefined without Redis. A text tells why it does not answer. */
  readonly queues: Readonly<Record<string, QueueCounts & { readonly workers: number }>> | string | undefined;
  /** Address of Bull Board. */
  readonly board?: string | undefined;
}

/** Graphs on the first page; each image has a page of its own. */
const MAX_GRAPHS = 4;

export function formatOverview(data: DashboardData): string {
  const images = groupByImage(data.patches);
  const active = data.runs.filter(({ state }) => state === 'active').length;
  const bytes = sumOf(data.runs);
  const facts: readonly (readonly [string, string])[] = [
    ['runs', String(data.runs.length + data.older)],
    ['active', String(active)],
    ['saved of pulls', formatShare(bytes.saved, bytes.pull)],
    ['moved by patches', formatSize(bytes.patches)],
    ['images', String(images.length)],
    ['failures', String(data.runs.reduce((sum, { status }) => sum + (status?.failures.length ?? 0), 0))],
  ];
  const parts = [
    part('facts', factsOf(facts)),
    part('runs-part', section('s1', 'Runs', runSection(data))),
    part('queues-part', queueSection(data)),
    part('images-part', section('s3', 'Patches by image', imageSection(images))),
    part('sites-part', siteSection(data.sites)),
  ];
  return shell('panamax', data.store, parts.join('\n'));
}

/** The page of an image; undefined if the last runs have made no patch to it. */
export function formatImage(data: DashboardData, name: string): string | undefined {
  const found = groupByImage(data.patches).find(({ image }) => image === name);
  if (!found) return undefined;
  const rows = data.patches.filter(({ target }) => found.releases.includes(target));
  const content = [
    '<p><a href="/">All images and runs</a></p>',
    part('graph-part', section('s1', 'Releases', plotReleases('releases', found))),
    part('table-part', section('s2', 'Patches and their sources', formatTable(patchTable(rows)))),
  ];
  return shell(name, data.store, content.join('\n'));
}

function shell(title: string, store: string, content: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="stylesheet" href="/style.css">
<link rel="icon" href="data:,">
</head>
<body>
<a class="skip" href="#main">Skip to the contents</a>
<header>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(store)} <span id="live" role="status"></span> <button type="button" id="pause" class="pause" aria-pressed="false" hidden>Pause updates</button></p>
</header>
<main id="main">
${content}
</main>
<script src="/script.js"></script>
</body>
</html>
`;
}

/** A part that is replaced when it changes. */
function part(id: string, content: string): string {
  return `<div id="${id}" data-live>${content}</div>`;
}

function factsOf(facts: readonly (readonly [string, string])[]): string {
  const entries = facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeHtml(value)}</dd></div>`);
  return `<dl class="facts">${entries.join('\n')}</dl>`;
}

function sumOf(runs: readonly RunRow[]) {
  const empty = sumBytes([]);
  return runs.reduce((sum, { status }) => {
    const { pull, patches, saved } = status?.bytes ?? empty;
    return { pull: sum.pull + pull, patches: sum.patches + patches, saved: sum.saved + saved };
  }, empty);
}

function runSection({ runs, older }: Runs): string {
  if (runs.length === 0) return '<p>No runs.</p>';
  const left = older > 0 ? `<p>${older} older runs are not shown.</p>` : '';
  return `${formatTable(runTable(runs))}${left}`;
}

function runTable(runs: readonly RunRow[]): Table {
  return {
    id: 'runs',
    caption: 'Runs of the store, the latest first',
    head: ['Run', 'State', 'Since', ...STAGES.map(capitalized), 'Failures', 'Saved', 'Share', 'Time left'],
    left: new Set([0, 1, 2]),
    rows: runs.map(({ id, state, since, status }) => [
      linked(id, state === 'over'),
      [state],
      [since.toISOString().slice(0, 19).replace('T', ' ')],
      ...STAGES.map((stage) => {
        const { total, done = 0, skipped = 0, failed = 0 } = status?.stages[stage] ?? {};
        const over = done + skipped + failed;
        return status ? ([`${over} of ${total ?? '?'}`, over] as const) : (['–', -1] as const);
      }),
      status ? [String(status.failures.length), status.failures.length] : ['–', -1],
      size(status?.bytes.saved),
      status
        ? [formatShare(status.bytes.saved, status.bytes.pull), status.bytes.saved / (status.bytes.pull || 1)]
        : ['–', -1],
      status?.secondsLeft === undefined ? ['–', -1] : [formatSeconds(status.secondsLeft), status.secondsLeft],
    ]),
  };
}

function linked(id: string, isOver: boolean): Cell {
  return isOver ? [id, undefined, `/run?id=${encodeURIComponent(id)}`] : [id];
}

function queueSection({ queues, board }: DashboardData): string {
  if (queues === undefined) return '';
  const link = board === undefined ? '' : `<p><a href="${escapeHtml(board)}">Jobs in Bull Board</a></p>`;
  if (typeof queues === 'string')
    return section('s2', 'Workers and queues', `<p class="warning">${escapeHtml(queues)}</p>`);
  const table: Table = {
    id: 'queues',
    caption: 'Queues of the store, and the workers that are connected to them',
    head: ['Queue', 'Workers', 'Waiting', 'Active', 'Delayed', 'Failed'],
    left: new Set([0]),
    rows: Object.entries(queues).map(([name, { workers, waiting, active, delayed, failed }]) => [
      [name],
      ...[workers, waiting, active, delayed, failed].map((count) => [String(count), count] as const),
    ]),
  };
  return section('s2', 'Workers and queues', link + formatTable(table));
}

function imageSection(images: readonly ImagePatches[]): string {
  if (images.length === 0) return '<p>No run that is over has made a patch.</p>';
  const table: Table = {
    id: 'images',
    caption: 'Images that patches lead to',
    head: ['Image', 'Releases', 'Patches', 'Bytes of patches', 'Bytes of pulls', 'Ratio'],
    left: new Set([0]),
    rows: images.map(({ image, releases, patches }) => {
      const moved = patches.reduce((sum, { actual }) => sum + actual, 0);
      const pull = patches.reduce((sum, one) => sum + one.pull, 0);
      const counts = [releases.length, patches.length].map((count) => [String(count), count] as const);
      const href = `/image?name=${encodeURIComponent(image)}`;
      return [
        [image, undefined, href],
        ...counts,
        size(moved),
        size(pull),
        [formatShare(moved, pull), moved / pull],
      ];
    }),
  };
  const graphs = images
    .slice(0, MAX_GRAPHS)
    .map((one, i) => `<h3>${escapeHtml(one.image)}</h3>\n${plotReleases(`graph${i}`, one)}`);
  const words =
    'Releases from left to right. Above the line are patches to later releases, below it those to earlier ones.';
  return `${formatTable(table)}\n<p>${words}</p>\n${graphs.join('\n')}`;
}

function siteSection(sites: DashboardData['sites']): string {
  if (sites === undefined) return '';
  if (typeof sites === 'string') return section('s4', 'Sites', `<p class="warning">${escapeHtml(sites)}</p>`);
  const table: Table = {
    id: 'sites',
    caption: 'Sites of the inventory, and the targets that patches lead to from their images',
    head: ['Site', 'Images', 'Targets', 'Pulls', 'Patches', 'Saved', 'Share'],
    left: new Set([0]),
    rows: sites.map(({ site, images, targets, pull, patches }) => [
      [site],
      [String(images), images],
      [String(targets), targets],
      size(pull),
      size(patches),
      size(pull - patches),
      [formatShare(pull - patches, pull), pull === 0 ? 0 : 1 - patches / pull],
    ]),
  };
  return section('s4', 'Sites', formatTable(table));
}

function capitalized(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
