/**
 * Signatures of cosign that come with an image. An input is `manifest` or `bundle`, a line feed and the document; the
 * digests around it are those of the input, as from an attacker with access to the store.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf, type Digest } from '../../../lib/digest.ts';
import { parseAttachments, serializeAttachments } from '../../../lib/store/attached/attachments.ts';
import { readCosignKeys } from '../../../lib/store/attached/cosign.ts';
import {
  artifactOf,
  BUNDLE_TYPE,
  makeCosignKey,
  MANIFEST_TYPE,
  signBundle,
  signSimple,
} from '../../support/cosign.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import type { Scope } from '../../support/scope.ts';
import type { FuzzTarget } from '../target.ts';

const WHERE = 'attachments';

export async function open(scope: Scope): Promise<FuzzTarget> {
  const key = makeCosignKey();
  const path = join(await temporaryDirectory(scope), 'cosign.pub');
  await writeFile(path, key.publicKey);
  const verify = await readCosignKeys([path]);
  const image = '{"manifests":[]}';
  const target = digestOf(image);
  const simple = signSimple(target, key);
  const bundle = [...signBundle(target, key).blobs.values()][1]!;
  return {
    seeds: [
      Buffer.concat([Buffer.from('manifest\n'), simple.manifest]),
      Buffer.concat([Buffer.from('bundle\n'), bundle]),
    ],
    kinds: ['bad-input', 'limit', 'untrusted'],
    run(input) {
      const end = input.indexOf('\n');
      const document = input.subarray(end + 1);
      const isBundle = input.toString('latin1', 0, Math.max(end, 0)) === 'bundle';
      const { manifest, blobs } = isBundle
        ? artifactOf('text/plain', [[{ mediaType: BUNDLE_TYPE }, document]])
        : { manifest: document, blobs: simple.blobs };
      const text = manifest.toString();
      const facts = { subject: target, mediaType: MANIFEST_TYPE, document: text };
      const attachments = {
        target,
        manifest: image,
        indexes: [text],
        artifacts: [{ ...facts, digest: digestOf(text) }],
        blobs: blobs as ReadonlyMap<Digest, Buffer>,
        left: [],
      };
      verify(parseAttachments(serializeAttachments(attachments), target, WHERE), WHERE);
    },
    head: (input) => input.indexOf('\n') + 1,
  };
}
