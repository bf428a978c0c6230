import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { PanamaxError } from '../../errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Repository } from './registry.ts';

/** Content that can be read once per attempt: a document, a file, or a function that opens a stream. */
export type Content = Buffer | { readonly path: string } | { open(): AsyncIterable<Uint8Array> };

/** Pushes a blob unless the repository has it (distribution-spec, "POST then PUT"). */
export async function pushBlob(
  repository: Repository,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
  content: Content,
): Promise<void> {
  const { session, scope, url } = repository;
  await repository.named(digest, async () => {
    const there = await session.fetch(
      { method: 'HEAD', url: url(`blobs/${digest}`), headers: {} },
      [200, 404],
      scope,
    );
    there.resume();
    if (there.statusCode === 200) return;
    for (const retry = session.attempts(); ;) {
      try {
        const started = await session.once(
          { method: 'POST', url: url('blobs/uploads/'), headers: { 'content-length': '0' } },
          [202],
          scope,
        );
        started.resume();
        const address = URL.parse(started.headers.location ?? '', session.origin);
        if (!address) throw new PanamaxError('io', 'the registry names no place for a blob');
        address.searchParams.set('digest', digest);
        const headers = { 'content-type': 'application/octet-stream', 'content-length': String(size) };
        const body = () => streamOf(content);
        (await session.once({ method: 'PUT', url: address, headers, body }, [201], scope)).resume();
        return;
      } catch (error) {
        await retry.after(error);
      }
    }
  });
}

function streamOf(content: Content): Buffer | Readable {
  if (Buffer.isBuffer(content)) return content;
  return 'path' in content ? createReadStream(content.path) : Readable.from(content.open());
}

/** Pushes a manifest. @returns whether the registry itself lists it among the referrers of its subject */
export async function pushManifest(
  repository: Repository,
  reference: string,
  mediaType: string,
  bytes: Buffer,
): Promise<boolean> {
  const { session, scope, url } = repository;
  return repository.named(reference, async () => {
    const headers = { 'content-type': mediaType, 'content-length': String(bytes.length) };
    const request = {
      method: 'PUT',
      url: url(`manifests/${reference}`),
      headers,
      body: () => bytes,
    } as const;
    const response = await session.fetch(request, [201], scope);
    response.resume();
    return response.headers['oci-subject'] !== undefined;
  });
}
