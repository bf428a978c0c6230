import type { FormatName } from '../delta/format.ts';
import { formatNamed } from '../delta/formats.ts';
import { hexOf, type Digest } from '../digest.ts';

/** Keys of the artefacts in the store (docs/formats.md). */

/** Increased when more compressions can be reproduced, so that layers without a known one are examined again. */
const COMPRESSIONS_VERSION = 3;
export const SIGNATURE_VERSION = 4;
export const LAYER_VERSION = 1;
const SKETCH_VERSION = 1;

const named = (digest: Digest) => `sha256-${hexOf(digest)}`;

export const keys = {
  signature: (manifest: Digest) => `signatures/v${SIGNATURE_VERSION}/${named(manifest)}.columns`,
  signatures: `signatures/v${SIGNATURE_VERSION}/`,
  /** The summary of a layer, by its diffID. */
  layer: (diffID: Digest) => `layers/v${LAYER_VERSION}/${named(diffID)}.columns`,
  layers: 'layers/',
  sketch: (manifest: Digest) => `sketches/v${SKETCH_VERSION}/${named(manifest)}`,
  compression: (layer: Digest) => `compressions/v${COMPRESSIONS_VERSION}/${named(layer)}.json`,
  compressions: 'compressions/',
  pairing: (target: Digest, scope: string) => `pairings/${named(target)}/${scope}.json`,
  allPatches: 'patches/',
  attachments: (target: Digest) => `attachments/${named(target)}.json`,
  allAttachments: 'attachments/',
  calibration: 'calibration.json',
  patches: (target: Digest) => `patches/${named(target)}/`,
  descriptor: (target: Digest, source: Digest, format: FormatName) =>
    `patches/${named(target)}/${named(source)}.${format}.json`,
  patch: (target: Digest, source: Digest, format: FormatName) =>
    `patches/${named(target)}/${named(source)}.${formatNamed(format).suffix}`,
  names: 'names/',
  /** The current record of a name on one platform. `repository` and `tag` are parts of a `ReleaseName`. */
  name: (repository: string, tag: string, platform: string) =>
    `names/${repository.replaceAll(':', '=')}@${tag}/${platform.replaceAll('/', '-')}.json`,
  /** An earlier record of a name. */
  pastName: (repository: string, tag: string, platform: string, sequence: number) =>
    `names/${repository.replaceAll(':', '=')}@${tag}/${platform.replaceAll('/', '-')}/${String(sequence).padStart(16, '0')}.json`,
  index: (target: Digest) => `index/${named(target)}.json`,
  /** Tags of a repository that `watch` has seen. @param repository HOST/REPO, or HOST: the catalog was seen */
  watched: (repository: string) => `watched/${repository.replaceAll(':', '=')}.json`,
  /** The names that a bundle was made for. */
  bundle: 'bundle.json',
  run: (id: string, name: string) => `runs/${id}/${name}`,
};
