/** Sections of a stored layer summary, behind the size of the first: the checksum and the compression are made around them. */
import { openImage } from '../../../lib/image/open.ts';
import { DEFAULT_LIMITS as limits } from '../../../lib/limits.ts';
import { computeSignature } from '../../../lib/pairing/signature/compute.ts';
import { isSummaryOf, type LayerSummary } from '../../../lib/pairing/signature/layercolumns.ts';
import { parseLayer, serializeLayer } from '../../../lib/pairing/signature/storedlayer.ts';
import type { Scope } from '../../support/scope.ts';
import { sectionsOf, signatureWith } from '../../support/storedsignature.ts';
import { smallImages } from '../samples.ts';
import type { FuzzTarget } from '../target.ts';

const HEAD = 4;

function joined([document, columns]: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(HEAD);
  head.writeUInt32LE(document!.length, 0);
  return Buffer.concat([head, document!, columns!]);
}

function divided(input: Buffer): Buffer[] {
  if (input.length < HEAD) return [input, input];
  const first = HEAD + input.readUInt32LE(0);
  return [input.subarray(HEAD, first), input.subarray(first)];
}

export async function open(scope: Scope): Promise<FuzzTarget> {
  const { source: path } = await smallImages(scope);
  const image = await openImage({ transport: 'oci', path }, { limits });
  const sound: LayerSummary[] = [];
  await computeSignature(image, limits, [], (summary) => sound.push(summary));
  const stored = await Promise.all(sound.map(serializeLayer));
  return {
    seeds: stored.map((bytes) => joined(sectionsOf(bytes, 2))),
    kinds: ['bad-input', 'limit'],
    async run(input) {
      const summary = await parseLayer(signatureWith(divided(input), 1, 'PanamaxL'), 'store');
      // a checked summary makes a signature, if it is of a layer of the image
      const known = image.layers.map((layer, i) => (isSummaryOf(summary, layer) ? summary : sound[i]));
      return computeSignature(image, limits, known);
    },
    head: () => HEAD,
  };
}
