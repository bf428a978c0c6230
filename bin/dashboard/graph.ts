import { formatShare, formatSize } from '../format.ts';
import { shorten, svg, text } from '../report/charts.ts';
import { splitRelease } from '../report/data.ts';
import { escapeHtml } from '../report/html.ts';
import type { ImagePatches, MadePatch } from './releases.ts';

/** A graph of an image's releases on a line, with the patches between them as arcs, in SVG. */

/** Releases in a graph; older ones are in the table. */
const MAX_RELEASES = 16;
const STEP = 120;
const MARGIN = 70;
/** Height of an arc to the next release, and of each further one. */
const RISE = 34;
const FURTHER = 26;
const RADIUS = 7;

export function plotReleases(id: string, { image, releases, patches }: ImagePatches): string {
  const shown = releases.slice(-MAX_RELEASES);
  const place = new Map(shown.map((reference, i) => [reference, i]));
  const arcs = patches.flatMap((patch) => {
    const [from, to] = [place.get(patch.source), place.get(patch.target)];
    return from === undefined || to === undefined || from === to ? [] : [{ patch, from, to }];
  });
  const spans = (isForward: boolean) =>
    arcs.filter(({ from, to }) => from < to === isForward).map(({ from, to }) => Math.abs(to - from));
  const middle = heightOf(spans(true)) + RADIUS;
  const nodes = shown.map((reference, i) => node(reference, image, MARGIN + i * STEP, middle));
  const drawn = arcs.map(({ patch, from, to }) =>
    arc(patch, MARGIN + from * STEP, MARGIN + to * STEP, middle, to - from),
  );
  const left = releases.length - shown.length;
  return svg(id, {
    width: Math.max(360, 2 * MARGIN + (shown.length - 1) * STEP),
    title: `Releases of ${image} and the patches between them`,
    description: `${shown.length} releases, ${arcs.length} patches${left > 0 ? `; ${left} older releases are in the table` : ''}. The table has the same figures.`,
    height: middle + 30 + heightOf(spans(false)),
    content: [...drawn, ...nodes].join('\n'),
  });
}

/** Room for arcs over these numbers of releases. */
function heightOf(spans: readonly number[]): number {
  return spans.length === 0 ? 20 : riseOf(Math.max(...spans)) + 24;
}

function riseOf(span: number): number {
  return RISE + (span - 1) * FURTHER;
}

function node(reference: string, image: string, x: number, y: number): string {
  const { image: own, release } = splitRelease(reference);
  const isOther = own !== image;
  const label = isOther ? shorten(reference.replace(/^docker:\/\//, ''), 17) : release || 'image';
  return `<circle class="${isOther ? 'none' : 'patch'}" cx="${x}" cy="${y}" r="${RADIUS}"><title>${escapeHtml(reference)}</title></circle>${text(x, y + 24, shorten(label, 17), 'class="halo" text-anchor="middle"')}`;
}

/** Patches to later releases are above the line, others below it. */
function arc(patch: MadePatch, from: number, to: number, y: number, span: number): string {
  const up = span > 0 ? -1 : 1;
  const rise = riseOf(Math.abs(span));
  const [start, end] = [y + up * RADIUS, y + up * (RADIUS + 5)];
  // the apex of a cubic curve is at three quarters of its control points
  const control = y + up * (RADIUS + rise / 0.75);
  const hint = `${patch.target} from ${patch.source}: ${formatSize(patch.actual)} instead of ${formatSize(patch.pull)} (${formatShare(patch.actual, patch.pull)}), ${patch.format}`;
  const label = y + up * (RADIUS + rise) + (up < 0 ? -5 : 13);
  return `<g><title>${escapeHtml(hint)}</title><path class="arc" d="M${from} ${start}C${from} ${control} ${to} ${control} ${to} ${end}"/><path class="patch" d="M${to} ${y + up * RADIUS}l-4 ${up * 9}h8z"/>${text((from + to) / 2, label, formatSize(patch.actual), 'class="halo" text-anchor="middle"')}</g>`;
}
