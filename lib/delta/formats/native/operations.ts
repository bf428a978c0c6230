import { PanamaxError } from '../../../errors.ts';
import type { Alignments } from '../../align/alignment.ts';
import { AlignmentBuilder } from '../../align/alignmentlist.ts';
import { createModels, type BitCoder } from './bitcoder.ts';
import { MAX_NUMBER, NumberModels } from './numbers.ts';

/** Alignments of one batch, relative to where the batch starts in the target program. */

/** Distances that are remembered, the last used first. */
const RECENT = 16;
const RECENT_BITS = 4;
/** Operations of one batch at most. */
export const MAX_OPERATIONS = 2 ** 20;

/** State that lasts from one batch to the next. */
export class OperationModels {
  readonly isRecent = createModels(4);
  readonly recent = createModels(4 * RECENT);
  readonly sign = createModels(4);
  readonly gap = new NumberModels(4);
  readonly step = new NumberModels(4);
  readonly length = new NumberModels(8);
  readonly count = new NumberModels(1);
  /** Source offset minus target offset. */
  readonly distances = new Float64Array(RECENT);
  lastDistance = 0;
}

/**
 * Codes the operations of a batch in either direction.
 *
 * @param given the operations that an encoder writes
 * @param start of the batch in the target program
 * @param size of the batch
 * @param sourceSize of the source space
 */
export function codeOperations(
  coder: BitCoder,
  models: OperationModels,
  given: Alignments | undefined,
  { start, size, sourceSize }: { readonly start: number; readonly size: number; readonly sourceSize: number },
): Alignments {
  const { distances } = models;
  const found = new AlignmentBuilder();
  const count = models.count.code(coder, 0, given?.count ?? 0);
  if (count > MAX_OPERATIONS) throw refused('too many operations', MAX_OPERATIONS, count);
  let at = 0;
  let before = 0;
  for (let i = 0; i < count; i++) {
    const givenAt = given ? given.target[i]! : 0;
    const givenDistance = given ? given.source[i]! - start - givenAt : 0;
    const gap = models.gap.code(coder, before, givenAt - at);
    at += gap;
    const context = gap === 0 ? 0 : gap < 32 ? 1 : gap < 256 ? 2 : 3;

    // the distance: one of the last, or a step from the last
    let index = given ? distances.indexOf(givenDistance) : 0;
    const known = coder.bit(models.isRecent, context, index >= 0 ? 1 : 0);
    let distance: number;
    if (known === 1) {
      let node = 1;
      for (let bit = RECENT_BITS - 1; bit >= 0; bit--) {
        node = node * 2 + coder.bit(models.recent, context * RECENT + node, (index >>> bit) & 1);
      }
      index = node - RECENT;
      distance = distances[index]!;
    } else {
      const step = givenDistance - models.lastDistance;
      const size = models.step.code(coder, context, Math.abs(step));
      const negative = coder.bit(models.sign, context, step < 0 ? 1 : 0);
      distance = models.lastDistance + (negative === 1 ? -size : size);
      index = RECENT - 1;
    }
    distances.copyWithin(1, 0, index);
    distances[0] = distance;
    models.lastDistance = distance;

    const length = models.length.code(coder, (known === 1 ? 0 : 4) + context, given ? given.length[i]! : 0);
    const source = distance + start + at;
    if (length === 0 || length > size - at) throw refused('an operation beyond its batch', size - at, length);
    if (!(source >= 0 && source <= sourceSize - length)) {
      throw refused('an operation beyond the source', sourceSize, source);
    }
    found.push(at, source, length, 0);
    at += length;
    before = length < 64 ? known : 2 + known;
  }
  return found.items();
}

function refused(what: string, most: number, value: number): PanamaxError {
  return new PanamaxError('bad-patch', what, {
    expected: `at most ${most}`,
    found: Math.min(value, MAX_NUMBER),
  });
}
