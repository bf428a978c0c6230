import { checkSeal, sealDocument } from '../sealed.ts';
import type { FormatName } from '../delta/format.ts';
import { formatNamed, formatNames } from '../delta/formats.ts';
import { asRecord, parseVersioned } from '../json.ts';
import type { Effort } from '../delta/align/alignment.ts';
import { PanamaxError } from '../errors.ts';
import { UNCALIBRATED, type Calibration, type Calibrations, type Prediction } from './prediction.ts';

/** A prediction without calibration, and the size of the resulting patch. */
export interface Encoded {
  readonly reasons: Prediction['reasons'];
  /** In bytes; with effort `default`. */
  readonly actual: number;
}

/** Size that a patch would have with effort `default`, which predictions assume; in bytes. */
export function sizeAtDefault(size: number, format: FormatName, effort: Effort): number {
  return Math.round(size / formatNamed(format).sizeByEffort[effort]);
}

/** Factors are between 1 / MOST and MOST. */
const MOST = 3;
/** Weight of the prior that the costs are right, in patches: a single patch changes them little. */
const PRIOR = 1;
const STEPS = 24;
/** Error of a patch at most, because its descriptor may be wrong. */
const FARTHEST = Math.log(MOST ** 2);

/** Fits the factors to encoded patches by least squares of logarithms. */
export function calibrationOf(encoded: readonly Encoded[]): Calibration {
  let best = UNCALIBRATED;
  let least = errorOf(encoded, best);
  const factors = Array.from({ length: 2 * STEPS + 1 }, (_, i) => MOST ** ((i - STEPS) / STEPS));
  for (const changed of factors) {
    for (const fresh of factors) {
      const calibration = { changed, new: fresh };
      const error = errorOf(encoded, calibration);
      if (error < least) [best, least] = [calibration, error];
    }
  }
  return best;
}

function errorOf(encoded: readonly Encoded[], calibration: Calibration): number {
  let error = PRIOR * (Math.log(calibration.changed) ** 2 + Math.log(calibration.new) ** 2);
  for (const { reasons, actual } of encoded) {
    const size = reasons.fixed + reasons.changed * calibration.changed + reasons.new * calibration.new;
    error += Math.min(Math.abs(Math.log(size / actual)), FARTHEST) ** 2;
  }
  return error;
}

const CALIBRATION_VERSION = 1;

export function serializeCalibrations(formats: Calibrations): Buffer {
  return sealDocument({ version: CALIBRATION_VERSION, formats }, 2);
}

/** @throws PanamaxError `bad-input` */
export function parseCalibrations(bytes: Uint8Array, where: string): Calibrations {
  checkSeal(bytes, where);
  const record = parseVersioned(bytes, CALIBRATION_VERSION, 'unknown version of calibrations', where);
  return parseFactors(record['formats'], where);
}

/** @throws PanamaxError `bad-input` */
export function parseFactors(value: unknown, where: string): Calibrations {
  const formats = asRecord(value, where);
  const parsed: Partial<Record<FormatName, Calibration>> = {};
  for (const format of formatNames()) {
    if (formats[format] === undefined) continue;
    const { changed, new: fresh } = asRecord(formats[format], `${where} ${format}`);
    if (!isFactor(changed) || !isFactor(fresh)) {
      throw new PanamaxError('bad-input', 'not a calibration', {
        expected: `factors from ${1 / MOST} to ${MOST}`,
        found: JSON.stringify(formats[format]),
        where,
      });
    }
    parsed[format] = { changed, new: fresh };
  }
  return parsed;
}

function isFactor(value: unknown): value is number {
  return typeof value === 'number' && value >= 0.999 / MOST && value <= 1.001 * MOST;
}
