import { formatShare, formatSize } from '../format.ts';
import { splitRelease, type PatchRow, type StageTime } from './data.ts';
import { escapeHtml, formatSeconds } from './html.ts';

/** Plots in SVG. Each has a title and a description; the tables of the page have the same figures. */

const WIDTH = 720;
const MAX_BARS = 60;

export interface Plot {
  /** Of a drawing that keeps its size; by default it scales with the page. */
  readonly width?: number;
  readonly title: string;
  readonly description: string;
  readonly height: number;
  readonly content: string;
}

/** Scales with the page; scrolls on a narrow screen, since letters would get too small. */
export function svg(id: string, { width, title, description, height, content }: Plot): string {
  return `<div class="plot" tabindex="0" role="group" aria-labelledby="${id}-t"><svg role="img"${width === undefined ? '' : ` width="${width}" height="${height}"`} viewBox="0 0 ${width ?? WIDTH} ${height}" aria-labelledby="${id}-t ${id}-d">
<title id="${id}-t">${escapeHtml(title)}</title><desc id="${id}-d">${escapeHtml(description)}</desc>
${content}
</svg></div>`;
}

export function text(x: number, y: number, words: string, attributes = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escapeHtml(words)}</text>`;
}

function rect(x: number, y: number, width: number, height: number, kind: string, hint: string): string {
  const size = `width="${Math.max(width, 1).toFixed(1)}" height="${height}"`;
  return `<rect class="${kind}" x="${x.toFixed(1)}" y="${y}" ${size} rx="2"><title>${escapeHtml(hint)}</title></rect>`;
}

/** A bar per target: its smallest patch within the bytes that a pull moves; a heading per image. */
export function plotSavings(rows: readonly PatchRow[]): string {
  const best = new Map<string, PatchRow>();
  for (const row of rows) {
    const known = best.get(row.target);
    if (!known || movedBy(row) < movedBy(known)) best.set(row.target, row);
  }
  const bars = [...best.values()].slice(0, MAX_BARS);
  const most = Math.max(1, ...bars.map(({ pull }) => pull));
  const [left, right] = [150, 150];
  const scale = (bytes: number) => (bytes / most) * (WIDTH - left - right);
  const parts: string[] = [];
  let y = 0;
  let heading = '';
  for (const row of bars) {
    const { image, release } = splitRelease(row.target);
    if (image !== heading) {
      y += 20;
      parts.push(text(0, y, shorten(image, 90), 'class="heading"'));
      y += 8;
      heading = image;
    }
    const moved = movedBy(row);
    const hint = `${row.target}: ${formatSize(moved)} instead of ${formatSize(row.pull)}, from ${row.source}`;
    parts.push(
      text(left - 8, y + 13, shorten(release || 'image', 20), 'text-anchor="end"'),
      rect(left, y, scale(row.pull), 18, 'pull', hint),
      rect(left, y, scale(moved), 18, row.result === 'patch' ? 'patch' : 'none', hint),
      text(left + scale(row.pull) + 8, y + 13, `${formatSize(moved)} of ${formatSize(row.pull)}`),
    );
    y += 24;
  }
  const left_out = best.size - bars.length;
  if (left_out > 0) parts.push(text(0, (y += 18), `${left_out} more images in the table`));
  return svg('savings', {
    title: 'Bytes moved for each image',
    description: `One bar per image: its smallest patch, within the bytes that a pull moves. ${best.size} images.`,
    height: y + 6,
    content: parts.join('\n'),
  });
}

function movedBy({ actual, pull, result }: PatchRow): number {
  return result === 'patch' ? (actual ?? pull) : pull;
}

/** A point per patch on logarithmic axes; patches on the line are as large as predicted. */
export function plotPredictions(rows: readonly PatchRow[]): string {
  const points = rows.filter(
    (row): row is PatchRow & { actual: number } => (row.actual ?? 0) > 0 && row.predicted > 0,
  );
  if (points.length === 0) return '<p>No patch was made.</p>';
  const sizes = points.flatMap(({ actual, predicted }) => [actual, predicted]);
  const low = Math.floor(Math.log10(Math.min(...sizes)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...sizes))));
  const [left, top, side] = [90, 10, 340];
  const along = (bytes: number) => ((Math.log10(bytes) - low) / (high - low)) * side;
  const grid: string[] = [];
  for (let power = low; power <= high; power++) {
    const at = along(10 ** power);
    const label = formatSize(10 ** power).replace(/\.0+(?= )/, '');
    grid.push(
      `<path class="grid" d="M${left} ${top + side - at}h${side}M${left + at} ${top}v${side}"/>`,
      text(left - 8, top + side - at + 4, label, 'text-anchor="end"'),
      text(left + at, top + side + 18, label, 'text-anchor="middle"'),
    );
  }
  const dots = points.map(({ actual, predicted, target, source, format }) => {
    const hint = `${target} from ${source}, ${format}: ${formatSize(predicted)} predicted, ${formatSize(actual)} made`;
    const at = `cx="${(left + along(predicted)).toFixed(1)}" cy="${(top + side - along(actual)).toFixed(1)}"`;
    return `<circle class="patch" ${at} r="5"><title>${escapeHtml(hint)}</title></circle>`;
  });
  const off = points.map(
    ({ actual, predicted }) => Math.max(actual, predicted) / Math.min(actual, predicted),
  );
  const median = off.sort((a, b) => a - b)[Math.floor(off.length / 2)]!;
  const words = `Half of the ${points.length} patches are within a factor of ${median.toFixed(2)} of their prediction.`;
  return `${svg('predictions', {
    title: 'Predicted and actual sizes of patches',
    description: words,
    height: top + side + 48,
    content: [
      ...grid,
      `<path class="line" d="M${left} ${top + side}L${left + side} ${top}"/>`,
      ...dots,
      text(left + side / 2, top + side + 40, 'predicted', 'text-anchor="middle"'),
      text(left + side + 12, top + 14, 'made'),
    ].join('\n'),
  })}<p>${words}</p>`;
}

/** A bar that is divided by the time of the stages. */
export function plotStages(stages: readonly StageTime[]): string {
  const total = stages.reduce((sum, { seconds }) => sum + seconds, 0);
  const parts = stages.map(({ stage, seconds, items }, i) => {
    const before = stages.slice(0, i).reduce((sum, one) => sum + one.seconds, 0);
    const [x, width] = [before, seconds].map((part) => (total === 0 ? 0 : (part / total) * WIDTH));
    const words = `${stage}: ${formatSeconds(seconds)} (${formatShare(seconds, total)}), ${items} items`;
    const row = 52 + i * 20;
    return `${rect(x!, 0, width!, 28, `stage${i}`, words)}${rect(0, row - 11, 12, 12, `stage${i}`, words)}${text(20, row, words)}`;
  });
  return svg('stages', {
    title: 'Time by stage',
    description: stages.map(({ stage, seconds }) => `${stage} ${formatSeconds(seconds)}`).join(', '),
    height: 52 + stages.length * 20,
    content: parts.join('\n'),
  });
}

export function shorten(words: string, most: number): string {
  return words.length > most ? `…${words.slice(1 - most)}` : words;
}
