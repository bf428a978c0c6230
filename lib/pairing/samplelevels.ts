/** The lowest level at which each sample is kept (contentsketch.ts). */
export interface SampleLevels {
  add(sample: number, level: number): void;
  get(sample: number): number | undefined;
}

const FIRST_SLOTS = 1024;

/** An open-addressing hash table of 32-bit words. An image may have tens of millions, more than a `Map` holds. */
export function createSampleLevels(): SampleLevels {
  let samples = new Uint32Array(FIRST_SLOTS);
  /** The level plus 1; 0 in empty slots. */
  let levels = new Uint8Array(FIRST_SLOTS);
  let count = 0;

  /** The slot of the sample, or the empty slot where it would be inserted. */
  function slotOf(sample: number): number {
    const mask = samples.length - 1;
    // samples of a high level have zeros in their low bits, so all bits are mixed
    let slot = Math.imul(sample ^ (sample >>> 15), 0x9e3779b1);
    slot = (slot ^ (slot >>> 15)) & mask;
    while (levels[slot] !== 0 && samples[slot] !== sample) slot = (slot + 1) & mask;
    return slot;
  }

  function grow(): void {
    const [oldSamples, oldLevels] = [samples, levels];
    samples = new Uint32Array(2 * oldSamples.length);
    levels = new Uint8Array(2 * oldLevels.length);
    for (const [i, level] of oldLevels.entries()) {
      if (level === 0) continue;
      const slot = slotOf(oldSamples[i]!);
      samples[slot] = oldSamples[i]!;
      levels[slot] = level;
    }
  }

  return {
    add(sample, level) {
      const slot = slotOf(sample);
      const known = levels[slot]!;
      if (known !== 0) {
        levels[slot] = Math.min(known, level + 1);
        return;
      }
      samples[slot] = sample;
      levels[slot] = level + 1;
      if (3 * ++count > 2 * samples.length) grow();
    },
    get(sample) {
      const level = levels[slotOf(sample)]!;
      return level === 0 ? undefined : level - 1;
    },
  };
}
