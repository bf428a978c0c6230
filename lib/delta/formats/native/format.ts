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
  // those of `xdelta`: not fitted yet
  costs: {
    patch: 318,
    header: 0.549,
    file: 83.6,
    small: 0.00884,
    coded: 0.811,
    slope: 0.124,
    power: 1.98,
    spread: 1.6,
    secondsPerMiB: { target: 0.0115, changed: 0.11, coded: 0.6 },
  },
  sizeByEffort: { fast: 1.06, default: 1, best: 0.98 },
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
