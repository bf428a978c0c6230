import type { PatchFormat } from '../../format.ts';
import { ANNOTATION_PREFIX, ARTIFACT_TYPE } from './artifact.ts';

/**
 * An OCI artifact of tar-diff layers in an OCI archive (github.com/containers/oci-delta, README.md), whose sources are
 * files of the flattened image; `oci-delta apply` and `oci-delta import` read it.
 */
export const ociDelta: PatchFormat = {
  name: 'oci-delta',
  suffix: 'oci-delta.tar',
  registry: {
    kind: 'artifact',
    artifactType: ARTIFACT_TYPE,
    annotationPrefix: ANNOTATION_PREFIX,
    async writeArchive(path, manifest, layers) {
      const { writeArtifactArchive } = await import('./archive.ts');
      await writeArtifactArchive(path, manifest, layers);
    },
  },
  traits: {
    combinesSources: false,
    appliesToStream: false,
    rebuildsOnScratch: true,
    // the parts of tar-diffs, then the archive of them
    createScratch: 2,
    listsSource: true,
    resemblesImage: true,
  },
  // fitted to pairs of the development corpus (docs/pairing.md); every changed tar header is data here
  costs: {
    patch: 2170,
    recipe: 1,
    header: 22.9,
    file: 86,
    small: 0.0151,
    coded: 0.788,
    slope: 0.107,
    power: 2.55,
    spread: 1.54,
    secondsPerMiB: { target: 0.0088, changed: 0.0852, coded: 0.171 },
  },
  sizeByEffort: { fast: 1.11, default: 1, best: 0.98 },
  applyMemory: 512 * 1024 ** 2,
  // the magic of a tar header (POSIX ustar), at offset 257
  recognizes: (head) => head.toString('latin1', 257, 262) === 'ustar',
  async read(path, limits) {
    const { readOciDelta } = await import('./read.ts');
    const delta = await readOciDelta(path, limits);
    const { source, target, layers } = delta;
    return {
      format: this.name,
      path,
      source,
      target,
      layers,
      async apply(task, context) {
        const { rebuildOciDelta } = await import('./apply.ts');
        return rebuildOciDelta(delta, task, context);
      },
    };
  },
  async create(task) {
    const { createOciDelta } = await import('./create.ts');
    await createOciDelta(task);
  },
};
