import type { PatchFormat } from '../../format.ts';

/** The first bytes of a VCDIFF file (RFC 3284, section 4.1). */
const MAGIC = 'd6c3c4';

/** VCDIFF from layer stream to layer stream, with the recipe in its application header; `xdelta3 -d` decodes it. */
export const xdelta: PatchFormat = {
  name: 'xdelta',
  suffix: 'xdelta',
  registry: { kind: 'blob', mediaType: 'application/vnd.panamax.patch.v1.xdelta' },
  traits: {
    combinesSources: true,
    appliesToStream: true,
    readsInOrder: true,
    rebuildsOnScratch: false,
    createScratch: 1,
    resemblesImage: false,
  },
  // fitted to pairs of the development corpus (docs/pairing.md)
  costs: {
    patch: 318,
    recipe: 1,
    header: 0.549,
    file: 83.6,
    small: 0.00884,
    coded: 0.811,
    slope: 0.124,
    power: 1.98,
    spread: 1.6,
    secondsPerMiB: { target: 0.0115, changed: 0.0735, coded: 0.431 },
  },
  sizeByEffort: { fast: 1.03, default: 1, best: 0.95 },
  applyMemory: 512 * 1024 ** 2,
  recognizes: (head) => head.toString('hex', 0, 3) === MAGIC,
  async read(path, _, arriving) {
    const { readXdelta } = await import('./read.ts');
    const recipe = await readXdelta(path, arriving);
    const { source, target } = recipe;
    return {
      format: this.name,
      path,
      source,
      target,
      layers: target.layers,
      async apply(task, context) {
        const { rebuildXdelta } = await import('./apply.ts');
        return rebuildXdelta(path, recipe, task, context, arriving);
      },
    };
  },
  async create(task) {
    const { createXdelta } = await import('./create.ts');
    await createXdelta(task);
  },
};
