import { OPERAND_KINDS } from './operandkinds.ts';
import { createModels, type BitCoder } from './bitcoder.ts';
import { NumberModels } from './numbers.ts';

const QUALITIES = 3;
/** How the last operands of a kind came out. */
const HISTORY = 8;

/** Models of words that refer to addresses. Those of a group start afresh. */
export class OperandModels {
  readonly #isWrong = createModels(OPERAND_KINDS * QUALITIES * HISTORY * 2);
  readonly #isLikeLast = createModels(2 * OPERAND_KINDS * QUALITIES);
  readonly #sign = createModels(OPERAND_KINDS);
  readonly #offset = new NumberModels(OPERAND_KINDS);
  readonly #history = new Uint8Array(OPERAND_KINDS);
  /** Of the last wrong word of a kind: by how much the target's was off the prediction, and off the source's. */
  readonly #lastError = new Int32Array(OPERAND_KINDS);
  readonly #lastChange = new Int32Array(OPERAND_KINDS);

  /**
   * Codes the target's word in place of a predicted one.
   *
   * @param word of the source
   * @param actual the word that an encoder writes
   */
  code(
    coder: BitCoder,
    kind: number,
    quality: number,
    predicted: number,
    word: number,
    actual: number,
  ): number {
    const isMoved = predicted === word ? 0 : 1;
    const context = ((kind * QUALITIES + quality) * HISTORY + this.#history[kind]!) * 2 + isMoved;
    const wrong = coder.bit(this.#isWrong, context, actual === predicted ? 0 : 1);
    this.#history[kind] = ((this.#history[kind]! << 1) | wrong) & (HISTORY - 1);
    if (wrong === 0) return predicted;
    const found = this.#wrong(coder, kind, quality, predicted, word, actual);
    this.#lastError[kind] = found - predicted;
    this.#lastChange[kind] = found - word;
    return found;
  }

  #wrong(
    coder: BitCoder,
    kind: number,
    quality: number,
    predicted: number,
    word: number,
    actual: number,
  ): number {
    const context = 2 * (kind * QUALITIES + quality);
    const byError = (predicted + this.#lastError[kind]!) | 0;
    if (coder.bit(this.#isLikeLast, context, actual === byError ? 1 : 0) === 1) return byError;
    const byChange = (word + this.#lastChange[kind]!) | 0;
    if (coder.bit(this.#isLikeLast, context + 1, actual === byChange ? 1 : 0) === 1) return byChange;
    const offset = (actual - predicted) | 0;
    const size = this.#offset.code(coder, kind, Math.abs(offset));
    const negative = coder.bit(this.#sign, kind, offset < 0 ? 1 : 0);
    return (predicted + (negative === 1 ? -size : size)) | 0;
  }
}
