import type { ByteSource } from '../../../../patchreader.ts';
import { PanamaxError } from '../../../../../errors.ts';
import { MODE_HERE, MODE_SELF, NEAR_SLOTS, SAME_SLOTS } from '../codetable.ts';
import { readInteger } from '../integer.ts';

const SAME_SIZE = 256 * SAME_SLOTS;

/** The near and same caches of RFC 3284, section 5.1; reset for each window. */
export class AddressCache {
  readonly near = new Float64Array(NEAR_SLOTS);
  readonly same = new Float64Array(SAME_SIZE);
  #next = 0;

  reset(): void {
    this.near.fill(0);
    this.same.fill(0);
    this.#next = 0;
  }

  update(address: number): void {
    this.near[this.#next] = address;
    this.#next = (this.#next + 1) % NEAR_SLOTS;
    this.same[address % SAME_SIZE] = address;
  }

  /** Reads the address of a COPY to `here`. @throws PanamaxError `bad-patch` unless it lies before `here` */
  read(mode: number, here: number, from: ByteSource): number {
    const address = this.#resolve(mode, here, from);
    if (!(address >= 0 && address < here)) {
      throw new PanamaxError('bad-patch', 'a copy has an impossible address', {
        expected: `0 to ${here - 1}`,
        found: address,
      });
    }
    this.update(address);
    return address;
  }

  #resolve(mode: number, here: number, from: ByteSource): number {
    if (mode === MODE_SELF) return readInteger(from);
    if (mode === MODE_HERE) return here - readInteger(from);
    if (mode < 2 + NEAR_SLOTS) return this.near[mode - 2]! + readInteger(from);
    return this.same[(mode - 2 - NEAR_SLOTS) * 256 + from.byte()]!;
  }
}
