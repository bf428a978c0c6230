import { formatSize } from '../bin/format.ts';
import type { Effort } from '../lib/delta/align/alignment.ts';
import { BASELINE } from './peers.ts';
import {
  allSeries,
  contenderName,
  findDone,
  pairName,
  sizeRatio,
  type Contender,
  type PairResult,
  type Results,
} from './results.ts';

const WIDTH = 1160;
const LEFT = 220;
const RIGHT = 220;
const TOP = 124;
const ROW = 50;
const BOTTOM = 34;
const LEGEND_WIDTH = 188;
const LEGEND_HEIGHT = 27;

/** Colours of Okabe and Ito, which colour-blind readers can distinguish. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#8a6d3b'];
const INK = '#222222';
const GREY = '#767676';
const FAINT = '#e2e2e2';

interface Style {
  readonly name: string;
  readonly colour: string;
  /** Marks of panamax are in the upper half of a row, those of its peers in the lower half. */
  readonly panamax: boolean;
  readonly shape: Shape;
}

/** Paths around the origin, 12 units across. */
const OUTLINES = {
  circle: 'M-6 0a6 6 0 1 0 12 0a6 6 0 1 0 -12 0z',
  square: 'M-5 -5h10v10h-10z',
  triangle: 'M-6 -5h12l-6 11z',
  diamond: 'M0 -7l7 7l-7 7l-7 -7z',
};

type Shape = keyof typeof OUTLINES;

const EFFORT_SHAPES: Readonly<Record<Effort, Shape>> = {
  fast: 'triangle',
  default: 'circle',
  best: 'diamond',
};

/** An SVG document of patch sizes relative to the baseline, with a row per pair and a mark per contestant. */
export function drawPlot(results: Results): string {
  const series = allSeries(results, BASELINE).filter(
    ({ tool, points }) => tool !== BASELINE && points.length > 0,
  );
  const styles = stylesOf(series);
  const ratios = series.flatMap(({ points }) => points.map(sizeRatio));
  const axis = logAxis(Math.min(0.5, ...ratios), Math.max(2, ...ratios));
  const bottom = TOP + ROW * results.pairs.length;
  const height = bottom + BOTTOM;

  const marks = series.flatMap(({ points }, i) =>
    points.map((point) => {
      const { panamax } = styles[i]!;
      const y = rowAt(results.pairs.indexOf(point.pair)) + (panamax ? -ROW / 6 : ROW / 6);
      const title = `${styles[i]!.name}: ${formatSize(point.entry.bytes)}, ${sizeRatio(point).toFixed(3)}`;
      return mark(styles[i]!, axis.at(sizeRatio(point)), y, title);
    }),
  );
  const frame = `viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"`;
  const font = `font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="13" fill="${INK}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${frame} ${font}>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    label(16, 30, 'Patch size as a multiple of xdelta3 -9 -S lzma', 'font-size="18" font-weight="600"'),
    label(
      16,
      50,
      'One row for each pair of images. Logarithmic; smaller patches are further left.',
      `fill="${GREY}"`,
    ),
    ...legend(styles),
    ...results.pairs.flatMap(row),
    ...axis.ticks.flatMap((ratio) => tick(ratio, axis.at(ratio), bottom)),
    ...marks,
    '</svg>\n',
  ].join('\n');
}

/** A colour per tool, the strongest for panamax, and a shape per effort. */
function stylesOf(contenders: readonly Contender[]): Style[] {
  const panamax = contenders.filter(({ effort }) => effort !== undefined);
  const tools = [...new Set([...panamax, ...contenders].map(({ tool }) => tool))];
  return contenders.map((contender) => {
    const { tool, effort } = contender;
    return {
      name: contenderName(contender),
      colour: COLOURS[tools.indexOf(tool) % COLOURS.length]!,
      panamax: effort !== undefined,
      shape: effort === undefined ? 'square' : EFFORT_SHAPES[effort],
    };
  });
}

interface Axis {
  readonly ticks: readonly number[];
  at(ratio: number): number;
}

/** A scale from the tick below the smallest value to the tick above the largest. */
function logAxis(least: number, largest: number): Axis {
  const ticks: number[] = [];
  for (let decade = Math.floor(Math.log10(least)); decade <= Math.ceil(Math.log10(largest)); decade++) {
    ticks.push(...[1, 2, 5].map((digit) => Number(`${digit}e${decade}`)));
  }
  const first = ticks.findLastIndex((tick) => tick <= least);
  const last = ticks.findIndex((tick) => tick >= largest);
  const [low, high] = [Math.log(ticks[first]!), Math.log(ticks[last]!)];
  const width = WIDTH - LEFT - RIGHT;
  return {
    ticks: ticks.slice(first, last + 1),
    at: (ratio) => LEFT + (width * (Math.log(ratio) - low)) / (high - low),
  };
}

function tick(ratio: number, x: number, bottom: number): string[] {
  const [colour, width] = ratio === 1 ? [INK, 1.5] : [FAINT, 1];
  return [
    `<line x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${TOP}" y2="${bottom}" stroke="${colour}" stroke-width="${width}"/>`,
    label(x, bottom + 20, `${ratio}`, `text-anchor="middle" fill="${ratio === 1 ? INK : GREY}"`),
  ];
}

function rowAt(index: number): number {
  return TOP + ROW * (index + 0.5);
}

/** Labels of a row: the pair, the sizes of pulls, and the size of the baseline. */
function row(pair: PairResult, index: number): string[] {
  const y = rowAt(index);
  const baseline = findDone(pair, BASELINE);
  const shade =
    index % 2 === 0
      ? [`<rect x="8" y="${y - ROW / 2}" width="${WIDTH - 16}" height="${ROW}" fill="#f6f7f9"/>`]
      : [];
  const right = WIDTH - RIGHT + 18;
  return [
    ...shade,
    label(LEFT - 18, y + 4.5, pairName(pair), 'text-anchor="end"'),
    label(right, y - 3, `xdelta3 ${baseline ? formatSize(baseline.bytes) : 'failed'}`, ''),
    label(
      right,
      y + 14,
      `pull ${formatSize(pair.dedupedPullSize)}, whole ${formatSize(pair.pullSize)}`,
      `fill="${GREY}" font-size="12"`,
    ),
  ];
}

/** The legend: panamax in one line, its peers in the next. */
function legend(styles: readonly Style[]): string[] {
  const lines = [styles.filter(({ panamax }) => panamax), styles.filter(({ panamax }) => !panamax)];
  return lines.flatMap((line, i) => {
    const y = TOP - 52 + i * LEGEND_HEIGHT;
    return line.flatMap((style, j) => {
      const x = 24 + j * LEGEND_WIDTH;
      return [mark(style, x, y, style.name), label(x + 13, y + 4.5, style.name, '')];
    });
  });
}

function mark({ colour, shape, panamax }: Style, x: number, y: number, title: string): string {
  const paint = panamax
    ? `fill="${colour}" fill-opacity="0.85"`
    : `fill="#ffffff" fill-opacity="0.6" stroke="${colour}" stroke-width="2.2"`;
  const place = `transform="translate(${x.toFixed(1)} ${y.toFixed(1)})"`;
  return `<path d="${OUTLINES[shape]}" ${place} ${paint}><title>${escaped(title)}</title></path>`;
}

function label(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
