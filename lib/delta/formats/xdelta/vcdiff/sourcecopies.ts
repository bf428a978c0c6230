import type { RandomAccess } from '../../../randomaccess.ts';

/** Copies that are collected at most, and the room for them at first: most patches are small. */
const ROOM = 2 ** 15;
const FIRST_ROOM = 2 ** 8;
/** Copies of at least this size are read directly into the window. */
const LONG = 2 ** 16;
/** Copies that are closer together in the source share one read of at most EXTENT bytes. */
const GAP = 2 ** 14;
const EXTENT = 2 ** 20;
/** Up to this size a byte loop is faster than `Uint8Array.set`. */
const SHORT = 64;

/**
 * Collects copies from the source and runs them in the order of the source: instructions address it in random order,
 * and one read for each would be slow.
 */
export class SourceCopies {
  /** Address * ROOM + index, which sorts by address; addresses are below 2^33. */
  #keys = new Float64Array(FIRST_ROOM);
  #targets = new Uint32Array(FIRST_ROOM);
  #lengths = new Uint32Array(FIRST_ROOM);
  #extent = new Uint8Array(0);
  #count = 0;

  /** Whether the next opcode, which may be two copies, might not fit. */
  get nearlyFull(): boolean {
    return this.#count > ROOM - 2;
  }

  /** `address` is an offset in the source segment. */
  add(address: number, target: number, length: number): void {
    if (this.#count === this.#lengths.length) this.#grow();
    const index = this.#count++;
    this.#keys[index] = address * ROOM + index;
    this.#targets[index] = target;
    this.#lengths[index] = length;
  }

  #grow(): void {
    const room = 2 * this.#count;
    this.#keys = grown(this.#keys, new Float64Array(room));
    this.#targets = grown(this.#targets, new Uint32Array(room));
    this.#lengths = grown(this.#lengths, new Uint32Array(room));
  }

  /** Runs the collected copies into `window`. */
  async run(source: RandomAccess, segmentOffset: number, window: Uint8Array): Promise<void> {
    const keys = this.#keys.subarray(0, this.#count).sort();
    this.#count = 0;
    for (let first = 0; first < keys.length;) {
      const start = Math.floor(keys[first]! / ROOM);
      const index = keys[first]! % ROOM;
      const target = this.#targets[index]!;
      const length = this.#lengths[index]!;
      if (length >= LONG) {
        await source.read(window.subarray(target, target + length), segmentOffset + start);
        first++;
        continue;
      }
      let end = start + length;
      let last = first + 1;
      for (; last < keys.length; last++) {
        const address = Math.floor(keys[last]! / ROOM);
        const length = this.#lengths[keys[last]! % ROOM]!;
        if (length >= LONG || address > end + GAP || address + length > start + EXTENT) break;
        end = Math.max(end, address + length);
      }
      if (this.#extent.length < end - start) this.#extent = new Uint8Array(extentRoom(end - start));
      await source.read(this.#extent.subarray(0, end - start), segmentOffset + start);
      for (; first < last; first++) this.#copy(keys[first]!, start, window);
    }
  }

  #copy(key: number, extentStart: number, window: Uint8Array): void {
    const index = key % ROOM;
    const from = Math.floor(key / ROOM) - extentStart;
    const target = this.#targets[index]!;
    const length = this.#lengths[index]!;
    if (length > SHORT) window.set(this.#extent.subarray(from, from + length), target);
    else for (let i = 0; i < length; i++) window[target + i] = this.#extent[from + i]!;
  }
}

function grown<A extends Float64Array | Uint32Array>(old: A, larger: A): A {
  larger.set(old);
  return larger;
}

/** A power of two, so that few extents need new memory. */
function extentRoom(size: number): number {
  return 2 ** Math.ceil(Math.log2(size));
}
