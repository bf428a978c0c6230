import { PanamaxError, printable } from '../lib/errors.ts';

const UNITS = ['', 'K', 'M', 'G', 'T'];

/** Parses a number of bytes with a unit based on 1024: `512`, `64K`, `1.5G`. @throws PanamaxError `usage` */
export function parseSize(text: string, option: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMGT]?)i?B?$/i.exec(text);
  const size = match ? Number(match[1]) * 1024 ** UNITS.indexOf(match[2]!.toUpperCase()) : Number.NaN;
  if (Number.isSafeInteger(Math.round(size)) && size >= 1) return Math.round(size);
  throw new PanamaxError('usage', option, { expected: 'a size such as 512M or 64G', found: text });
}

const DURATIONS: Readonly<Record<string, number>> = { m: 60_000, h: 3600_000, d: 24 * 3600_000 };

/** Parses a duration such as `90m`, `12h` or `14d`. @returns milliseconds. @throws PanamaxError `usage` */
export function parseDuration(text: string, option: string): number {
  const match = /^(\d{1,6})([mhd])$/.exec(text);
  const duration = match ? Number(match[1]) * DURATIONS[match[2]!]! : 0;
  if (duration > 0) return duration;
  throw new PanamaxError('usage', option, { expected: 'a duration such as 12h or 14d', found: text });
}

/** A number with its noun: `1 image`, `2 patches`. */
export function formatCount(count: number, noun: string, nouns = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : nouns}`;
}

/** Formats bytes in decimal units (kB, MB), as registries and docker do. */
export function formatSize(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0)} ${units[unit]}`;
}

export function formatShare(part: number, whole: number): string {
  if (whole === 0) return '-';
  const percent = (100 * part) / whole;
  return `${percent.toFixed(percent < 10 ? 2 : 1)} %`;
}

/** Formats a table. The first `left` columns are aligned to the left, the others to the right. */
export function formatTable(table: readonly (readonly string[])[], left: number): string {
  const rows = table.map((row) => row.map(printable));
  const widths = rows.reduce<number[]>(
    (widest, row) => row.map((cell, i) => Math.max(widest[i] ?? 0, cell.length)),
    [],
  );
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i < left ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
