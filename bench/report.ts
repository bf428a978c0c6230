import { formatSize } from '../bin/format.ts';
import { isReached, judgeGoals, type Goal } from './goals.ts';
import type { Usage } from './measure.ts';
import { BASELINE } from './peers.ts';
import {
  allSeries,
  contenderName,
  findDone,
  geometricMean,
  isDone,
  pairName,
  sizeRatio,
  totalRatio,
  type Done,
  type Point,
  type Results,
  type Series,
} from './results.ts';

const NONE = '–';

/** The tables of a run in Markdown. */
export function writeReport(results: Results): string {
  const names = allSeries(results, BASELINE).map(contenderName);
  const { cpu, cores, node } = results.machine;
  return (
    [
      `Measured ${results.started.slice(0, 10)} on ${cores} cores of ${cpu}, Node ${node}. Ratios are against \`${BASELINE}\`.`,
      section('Bytes', sizeTable(results, names)),
      section(
        'Encode: wall seconds (CPU seconds)',
        usageTable(results, names, ({ encode }) => encode),
      ),
      section(
        'Apply: wall seconds (CPU seconds)',
        usageTable(results, names, ({ apply }) => apply),
      ),
      section('Over all pairs', totalTable(results)),
      section('Goals', goalTable(results)),
      ...notes(results),
    ].join('\n\n') + '\n'
  );
}

function section(title: string, rows: readonly (readonly string[])[]): string {
  return `### ${title}\n\n${markdownTable(rows)}`;
}

/** A table with the first column aligned to the left, the others to the right. */
function markdownTable([head, ...rows]: readonly (readonly string[])[]): string {
  const rule = head!.map((_, i) => (i === 0 ? '---' : '---:'));
  return [head!, rule, ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function sizeTable(results: Results, names: readonly string[]): string[][] {
  const rows = results.pairs.map((pair) => {
    const baseline = findDone(pair, BASELINE);
    const cells = names.map((name) => {
      const entry = findDone(pair, name);
      if (!entry) return NONE;
      const ratio = baseline && name !== BASELINE ? ` (${formatRatio(entry.bytes / baseline.bytes)})` : '';
      return `${formatCount(entry.bytes)}${ratio}`;
    });
    const { rawSize, pullSize, dedupedPullSize } = pair;
    return [pairName(pair), ...[rawSize, pullSize, dedupedPullSize].map(formatCount), ...cells];
  });
  return [['pair', 'raw', 'pull', 'pull, layers deduped', ...names], ...rows];
}

function usageTable(
  results: Results,
  names: readonly string[],
  pick: (entry: Done) => Usage | undefined,
): string[][] {
  const rows = results.pairs.map((pair) => [
    pairName(pair),
    ...names.map((name) => {
      const entry = findDone(pair, name);
      return formatUsage(entry && pick(entry));
    }),
  ]);
  return [['pair', ...names], ...rows];
}

/** Each contestant relative to the baseline, on the pairs that it completed. */
function totalTable(results: Results): string[][] {
  const head = [
    '',
    'pairs',
    'bytes',
    'ratio',
    'geometric mean',
    'encode wall',
    'encode CPU',
    'encode memory',
    'apply wall',
    'apply memory',
    'stock apply wall',
  ];
  return [
    head,
    ...allSeries(results, BASELINE)
      .filter(({ points }) => points.length > 0)
      .map(totalRow),
  ];
}

function totalRow(series: Series): string[] {
  const { points } = series;
  const total = (value: (entry: Done) => number) => points.reduce((sum, { entry }) => sum + value(entry), 0);
  const encodeRatio = (value: (entry: Done) => number) =>
    `${formatSeconds(total(value))} (${formatRatio(totalRatio(points, value))})`;
  return [
    contenderName(series),
    String(points.length),
    formatSize(total(({ bytes }) => bytes)),
    formatRatio(totalRatio(points, ({ bytes }) => bytes)),
    formatRatio(geometricMean(points.map(sizeRatio))),
    encodeRatio(({ encode }) => encode.wallSeconds),
    encodeRatio(({ encode }) => encode.cpuSeconds),
    formatMemory(points, ({ encode }) => encode),
    formatWall(points, ({ apply }) => apply),
    formatMemory(points, ({ apply }) => apply),
    formatWall(points, ({ stockApply }) => stockApply),
  ];
}

function goalTable(results: Results): string[][] {
  const rows = judgeGoals(results).map((goal) => {
    const some = goal.pairs > 0 && goal.pairs < results.pairs.length;
    return [
      goal.what,
      `at most ${formatCount(goal.limit)}${goal.unit ? ` ${goal.unit}` : ''}`,
      `${formatMeasured(goal)}${some ? ` (${goal.pairs} of ${results.pairs.length} pairs)` : ''}`,
      { true: 'yes', false: 'no', undefined: NONE }[
        String(isReached(goal)) as 'true' | 'false' | 'undefined'
      ],
    ];
  });
  return [['figure', 'goal', 'measured', 'reached'], ...rows];
}

/** The missing results and their reasons. */
function notes({ absent, pairs }: Results): string[] {
  const lines = absent.map((program) => `- ${program}: not installed`);
  const reasons = new Map<string, string[]>();
  for (const pair of pairs) {
    for (const entry of pair.entries) {
      if (isDone(entry)) continue;
      const reason = `${contenderName(entry)}: ${entry.failure}`;
      reasons.set(reason, [...(reasons.get(reason) ?? []), pairName(pair)]);
    }
  }
  for (const [reason, where] of reasons) lines.push(`- ${reason.replace(/\s+/g, ' ')} (${where.join(', ')})`);
  return lines.length > 0 ? [`### Missing\n\n${lines.join('\n')}`] : [];
}

function formatUsage(usage: Usage | undefined): string {
  return usage ? `${formatSeconds(usage.wallSeconds)} (${formatSeconds(usage.cpuSeconds)})` : NONE;
}

function formatWall(points: readonly Point[], pick: (entry: Done) => Usage | undefined): string {
  const usages = points.flatMap(({ entry }) => pick(entry) ?? []);
  return usages.length > 0 ? formatSeconds(usages.reduce((sum, usage) => sum + usage.wallSeconds, 0)) : NONE;
}

function formatMemory(points: readonly Point[], pick: (entry: Done) => Usage | undefined): string {
  const usages = points.flatMap(({ entry }) => pick(entry) ?? []);
  if (usages.length === 0) return NONE;
  return `${Math.ceil(Math.max(...usages.map(({ peakMemory }) => peakMemory)) / 1024 ** 2)} MiB`;
}

function formatMeasured({ measured, unit }: Goal): string {
  if (measured === undefined) return NONE;
  if (unit === 'MiB') return `${Math.ceil(measured)} MiB`;
  if (unit === 'B') return `${formatCount(measured)} B`;
  return unit === '%' ? `${measured.toFixed(4)} %` : formatRatio(measured);
}

function formatCount(count: number): string {
  return count.toLocaleString('en');
}

function formatSeconds(seconds: number): string {
  return `${seconds.toFixed(seconds < 100 ? 1 : 0)} s`;
}

/** A ratio, or none for times too short to be measured. */
function formatRatio(ratio: number): string {
  if (!Number.isFinite(ratio)) return NONE;
  return ratio < 10 ? ratio.toFixed(3) : ratio.toFixed(1);
}
