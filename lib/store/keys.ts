import type { FormatName } from '../delta/format.ts';
import { formatNamed } from '../delta/formats.ts';
import { hexOf, type Digest } from '../digest.ts';

/** Where each artefact lives in the store (docs/formats.md). */

/** Goes up with what can be made again: layers that could not are looked into again. */
const COMPRESSIONS_VERSION = 3;
export const SIGNATURE_VERSION = 2;
const SKETCH_VERSION = 1;

const named = (digest: Digest) => `sha256-${hexOf(digest)}`;

export const keys = {
  signature: (manifest: Digest) => `signatures/v${SIGNATURE_VERSION}/${named(manifest)}.json.zst`,
  signatures: `signatures/v${SIGNATURE_VERSION}/`,
  sketch: (manifest: Digest) => `sketches/v${SKETCH_VERSION}/${named(manifest)}`,
  compression: (layer: Digest) => `compressions/v${COMPRESSIONS_VERSION}/${named(layer)}.json`,
  compressions: 'compressions/',
  pairing: (target: Digest, scope: string) => `pairings/${named(target)}/${scope}.json`,
  allPatches: 'patches/',
  calibration: 'calibration.json',
  patches: (target: Digest) => `patches/${named(target)}/`,
  descriptor: (target: Digest, source: Digest, format: FormatName) =>
    `patches/${named(target)}/${named(source)}.${format}.json`,
  patch: (target: Digest, source: Digest, format: FormatName) =>
    `patches/${named(target)}/${named(source)}.${formatNamed(format).suffix}`,
  names: 'names/',
  /** Of what a name stands for; one a platform. `repository` and `tag` as of `releasename.ts`. */
  name: (repository: string, tag: string, platform: string) =>
    `names/${repository.replaceAll(':', '=')}@${tag}/${platform.replaceAll('/', '-')}.json`,
  /** What it has stood for. */
  pastName: (repository: string, tag: string, platform: string, sequence: number) =>
    `names/${repository.replaceAll(':', '=')}@${tag}/${platform.replaceAll('/', '-')}/${String(sequence).padStart(16, '0')}.json`,
  index: (target: Digest) => `index/${named(target)}.json`,
  run: (id: string, name: string) => `runs/${id}/${name}`,
};
