import type { PatchFormat } from '../../format.ts';

/** The first bytes of a patch. */
const MAGIC = '89504d58';

/**
 * The format of panamax itself: each byte of the target is predicted from the source, and differences are coded.
 * Executables and compressed members are predicted by their meaning.
 */
export const native: PatchFormat = {
  name: 'panamax',
  suffix: 'panamax',
  registry: { kind: 'blob', mediaType: 'application/vnd.panamax.patch.v1.panamax' },
  traits: {
    combinesSources: true,
    appliesToStream: true,
    readsInOrder: true,
    rebuildsOnScratch: false,
    createScratch: 2,
    resemblesImage: false,
  },
  // fitted to the nearest 45 pairs of the development corpus (docs/pairing.md)
  costs: {
    patch: 77.7,
    recipe: 0.25,
    header: 0.0336,
    file: 231,
    small: 0.00848,
    coded: 0.77,
    slope: 0.0414,
    power: 6.7,
    spread: 1.07,
    secondsPerMiB: { target: 0.0237, changed: 0.0959, coded: 0.821 },
  },
  sizeByEffort: { fast: 1.06, default: 1, best: 0.9 },
  applyMemory: 256 * 1024 ** 2,
  recognizes: (head) => head.toString('hex', 0, 4) === MAGIC,
  async read(path, _, arriving) {
    const { readNative } = await import('./read.ts');
    const recipe = await readNative(path, arriving);
    const { source, target } = recipe;
    return {
      format: this.name,
      path,
      source,
      target,
      layers: target.layers,
      async apply(task, context) {
        const { rebuildNative } = await import('./apply.ts');
        return rebuildNative(path, recipe, task, context, arriving);
      },
    };
  },
  async create(task) {
    const { createNative } = await import('./create.ts');
    await createNative(task);
  },
};
