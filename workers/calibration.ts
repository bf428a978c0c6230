import { parseDescriptor, type PatchDescriptor } from '../lib/delta/descriptor.ts';
import { PanamaxError } from '../lib/errors.ts';
import {
  calibrationOf,
  parseCalibrations,
  serializeCalibrations,
  type Encoded,
} from '../lib/pairing/calibration.ts';
import type { Calibrations } from '../lib/pairing/prediction.ts';
import { compareImages } from '../lib/pairing/ranking.ts';
import type { Signature } from '../lib/signature/signature.ts';
import { keys, type PatchFormat } from '../lib/store/layout.ts';
import type { Store } from '../lib/store/store.ts';
import { loadSignature } from './signature.ts';

/** Pairs compared at most. */
const MOST_PAIRS = 300;

/** Adjusts what predictions go by to the patches that the store knows, and stores it. */
export async function calibrate(
  store: Store,
  signal: AbortSignal,
): Promise<{ readonly calibrations: Calibrations; readonly pairs: number }> {
  const encoded: Record<PatchFormat, Encoded[]> = { xdelta: [], 'oci-delta': [] };
  let pairs = 0;
  for await (const key of store.list(keys.allPatches)) {
    signal.throwIfAborted();
    if (!key.endsWith('.json') || pairs >= MOST_PAIRS) continue;
    const found = await readPair(store, key);
    if (!found) continue;
    encoded[found.format].push(found);
    pairs++;
  }
  const calibrations: Calibrations = {
    xdelta: calibrationOf(encoded.xdelta),
    'oci-delta': calibrationOf(encoded['oci-delta']),
  };
  await store.put(keys.calibration, serializeCalibrations(calibrations));
  return { calibrations, pairs };
}

/** None where there is none, or a damaged one: predictions then go by the costs as they are. */
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

/** Pairs that are damaged, or whose signatures are gone, are passed over. */
async function readPair(
  store: Store,
  key: string,
): Promise<(Encoded & { readonly format: PatchFormat }) | undefined> {
  const bytes = await store.get(key);
  if (!bytes) return undefined;
  try {
    const { format, source, target, sizes }: PatchDescriptor = parseDescriptor(
      bytes,
      `${store.where} ${key}`,
    );
    const sources: Signature[] = [];
    for (const manifest of source.images ?? [source.manifest]) {
      sources.push(await loadSignature(store, manifest));
    }
    const candidate = compareImages(await loadSignature(store, target.manifest), sources);
    return { format, reasons: candidate.predictions[format].reasons, actual: sizes.actual };
  } catch (error) {
    if (error instanceof PanamaxError && (error.kind === 'bad-input' || error.kind === 'not-found'))
      return undefined;
    throw error;
  }
}
