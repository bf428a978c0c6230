import type { FormatName } from '../../lib/delta/format.ts';
import { formatNames } from '../../lib/delta/formats.ts';
import { parsePatchDescriptor } from '../../lib/store/descriptor.ts';
import { PanamaxError } from '../../lib/errors.ts';
import {
  calibrationOf,
  parseCalibrations,
  serializeCalibrations,
  sizeAtDefault,
  type Encoded,
} from '../../lib/pairing/calibration.ts';
import { predictionOf, type Calibration, type Calibrations } from '../../lib/pairing/prediction.ts';
import { keys } from '../../lib/store/keys.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { createComparisons } from './comparisons.ts';

/** Patches of a format that are compared with their predictions, at most. */
const MOST_PAIRS = 300;

/** The calibration of a format, and the patches it rests on. */
export interface Calibrated {
  readonly format: FormatName;
  readonly calibration: Calibration;
  /** Number of patches that were compared. */
  readonly pairs: number;
  /** Number of patches in the store. */
  readonly known: number;
}

/**
 * Calibrates the predictions by the patches in the store, and stores the result. Of many patches it takes a sample spread
 * evenly over the list, which is ordered by the targets' digests, so that it covers many targets.
 */
export async function calibrate(store: Store, signal: AbortSignal): Promise<Calibrated[]> {
  const known = new Map(formatNames().map((format): [FormatName, string[]] => [format, []]));
  for await (const key of store.list(keys.allPatches)) {
    const format = formatNames().find((one) => key.endsWith(`.${one}.json`));
    if (format) known.get(format)!.push(key);
  }
  const calibrated: Calibrated[] = [];
  for (const [format, patches] of known) {
    const encoded: Encoded[] = [];
    for (const key of spread(patches, MOST_PAIRS)) {
      signal.throwIfAborted();
      const found = await readPair(store, key);
      if (found) encoded.push(found);
    }
    const calibration = calibrationOf(encoded);
    calibrated.push({ format, calibration, pairs: encoded.length, known: patches.length });
  }
  const calibrations = Object.fromEntries(calibrated.map(({ format, calibration }) => [format, calibration]));
  await store.put(keys.calibration, serializeCalibrations(calibrations));
  return calibrated;
}

/** At most `count` items, evenly spread over the list. */
function spread<Item>(items: readonly Item[], count: number): Item[] {
  if (items.length <= count) return [...items];
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]!);
}

/** The stored calibrations; empty if they are missing or damaged. Predictions then use the costs unchanged. */
export async function loadCalibrations(store: Store): Promise<Calibrations> {
  const bytes = await store.get(keys.calibration);
  if (!bytes) return {};
  try {
    return parseCalibrations(bytes, `${store.where} ${keys.calibration}`);
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return {};
    throw error;
  }
}

/** Undefined for pairs that are damaged or whose signatures are gone; they are skipped. */
async function readPair(store: Store, key: string): Promise<Encoded | undefined> {
  const bytes = await store.get(key);
  if (!bytes) return undefined;
  try {
    const descriptor = parsePatchDescriptor(bytes, `${store.where} ${key}`);
    const { format, effort, source, target, sizes } = descriptor;
    const comparisons = createComparisons(store, target.manifest, {});
    const { candidate } = await comparisons.compare(source.images ?? [source.manifest]);
    const { reasons } = predictionOf(candidate.predictions, format);
    return { reasons, actual: sizeAtDefault(sizes.actual, format, effort) };
  } catch (error) {
    if (error instanceof PanamaxError && (error.kind === 'bad-input' || error.kind === 'not-found'))
      return undefined;
    throw error;
  }
}
