import type { Effort } from '../lib/delta/align/alignment.ts';
import type { Usage } from './measure.ts';
import { BASELINE } from './peers.ts';
import {
  allSeries,
  geometricMean,
  sizeRatio,
  totalRatio,
  type Done,
  type Point,
  type Results,
  type Series,
} from './results.ts';

const WIDTH = 1160;
const HEIGHT = 560;
const TOP = 90;
const BOTTOM = 60;
const LEFT = 64;
const GAP = 60;
const RIGHT = 24;
const PANEL = (WIDTH - LEFT - GAP - RIGHT) / 2;

/** Colours of Okabe and Ito, which colour-blind readers can distinguish. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#8a6d3b', '#222222'];
const INK = '#222222';
const GREY = '#767676';
const FAINT = '#e2e2e2';

/** A contestant in a panel. Both figures are relative to the baseline. */
interface Mark {
  readonly tool: string;
  readonly effort: Effort | undefined;
  /** Wall time over all of its pairs. */
  readonly time: number;
  /** Geometric mean of its sizes. */
  readonly size: number;
  readonly pairs: number;
}

interface Panel {
  readonly left: number;
  readonly title: string;
  readonly pick: (entry: Done) => Usage | undefined;
}

const PANELS: readonly Panel[] = [
  { left: LEFT, title: 'wall time to encode', pick: ({ encode }) => encode },
  { left: LEFT + PANEL + GAP, title: 'wall time to apply', pick: ({ apply }) => apply },
];

/** An SVG document of sizes against the times to encode and to apply. The levels of a tool are joined by a line. */
export function drawPlot(results: Results): string {
  const series = allSeries(results, BASELINE);
  const tools = [...new Set(series.map(({ tool }) => tool))];
  const marks = PANELS.map(({ pick }) => series.flatMap((one) => markOf(one, pick)));
  const sizes = createScale(
    marks.flat().map(({ size }) => size),
    HEIGHT - BOTTOM,
    TOP,
  );
  const font = `font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="13" fill="${INK}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" ${font}>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    label(16, 30, 'Patches against xdelta3 -9 -S lzma', 'font-size="18" font-weight="600"'),
    label(
      16,
      52,
      `Size (geometric mean) over time (sum) of ${results.pairs.length} pairs, both as multiples of the baseline, logarithmic. Smaller and faster is down and left.`,
      `fill="${GREY}"`,
    ),
    ...PANELS.flatMap((panel, i) => drawPanel(panel, marks[i]!, sizes, tools)),
    '</svg>\n',
  ].join('\n');
}

function markOf({ tool, effort, points }: Series, pick: Panel['pick']): Mark[] {
  const measured = points.filter(
    ({ entry, baseline }) => isMeasured(pick(entry)) && isMeasured(pick(baseline)),
  );
  if (measured.length === 0) return [];
  const time = totalRatio(measured, (entry) => pick(entry)!.wallSeconds);
  return [{ tool, effort, time, size: meanSize(measured), pairs: measured.length }];
}

function isMeasured(usage: Usage | undefined): boolean {
  return usage !== undefined && usage.wallSeconds > 0;
}

function meanSize(points: readonly Point[]): number {
  return geometricMean(points.map(sizeRatio));
}

function drawPanel(
  { left, title }: Panel,
  marks: readonly Mark[],
  sizes: Scale,
  tools: readonly string[],
): string[] {
  const right = left + PANEL;
  const bottom = HEIGHT - BOTTOM;
  const times = createScale(
    marks.map(({ time }) => time),
    left,
    right,
  );
  const place = ({ time, size }: Mark) => `${times.at(time).toFixed(1)},${sizes.at(size).toFixed(1)}`;
  return [
    ...sizes.ticks.flatMap((tick) => {
      const y = sizes.at(tick);
      return [
        gridLine(left, y, right, y, tick),
        label(left - 8, y + 4, `${tick}`, `text-anchor="end" fill="${GREY}"`),
      ];
    }),
    ...times.ticks.flatMap((tick) => {
      const x = times.at(tick);
      return [
        gridLine(x, TOP, x, bottom, tick),
        label(x, bottom + 18, `${tick}`, `text-anchor="middle" fill="${GREY}"`),
      ];
    }),
    label((left + right) / 2, bottom + 42, title, 'text-anchor="middle"'),
    ...tools.flatMap((tool, i) => {
      const colour = COLOURS[i % COLOURS.length]!;
      const levels = marks.filter((mark) => mark.tool === tool);
      if (levels.length === 0) return [];
      const path = `<polyline points="${levels.map(place).join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`;
      const name = levels[0]!;
      return [
        path,
        ...levels.map((mark) => circle(mark, times.at(mark.time), sizes.at(mark.size), colour)),
        label(times.at(name.time) + 9, sizes.at(name.size) - 7, tool, `fill="${colour}" font-weight="600"`),
      ];
    }),
  ];
}

function circle({ tool, effort, size, time, pairs }: Mark, x: number, y: number, colour: string): string {
  const title = `${tool}${effort ? ` ${effort}` : ''}: size ${size.toFixed(3)}, time ${time.toFixed(3)}, ${pairs} pairs`;
  return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="5" fill="${colour}"><title>${escaped(title)}</title></circle>`;
}

interface Scale {
  readonly ticks: readonly number[];
  at(ratio: number): number;
}

/** A logarithmic scale that has 0.5 to 1 and all values between its first and its last tick. */
function createScale(values: readonly number[], from: number, to: number): Scale {
  const [least, largest] = [Math.min(0.5, ...values), Math.max(1, ...values)];
  const ticks: number[] = [];
  for (let decade = Math.floor(Math.log10(least)); decade <= Math.ceil(Math.log10(largest)); decade++) {
    ticks.push(...[1, 2, 5].map((digit) => Number(`${digit}e${decade}`)));
  }
  const first = ticks.findLastIndex((tick) => tick < least);
  const last = ticks.findIndex((tick) => tick > largest);
  const [low, high] = [Math.log(ticks[first]!), Math.log(ticks[last]!)];
  return {
    ticks: ticks.slice(first, last + 1),
    at: (ratio) => from + ((to - from) * (Math.log(ratio) - low)) / (high - low),
  };
}

/** A line of the grid. The one of the baseline stands out. */
function gridLine(x1: number, y1: number, x2: number, y2: number, tick: number): string {
  const colour = tick === 1 ? GREY : FAINT;
  const [from, to] = [
    `x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}"`,
    `x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}"`,
  ];
  return `<line ${from} ${to} stroke="${colour}"/>`;
}

function label(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
