/** Images that come to a mirror by patches, read by skopeo and by plain requests. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { makeMirrorSite, patchRequests, upstreamBlobs } from '../support/mirrorsite.ts';
import { missing } from '../support/programs.ts';

describe('a mirror with patches', { skip: missing('docker-registry', 'skopeo') }, () => {
  test('rebuilds the second release from the first for all clients, once', async (t) => {
    const site = await makeMirrorSite(t);
    const [first, second] = site.images;
    assert.equal(await site.copy(':1'), first!.manifestDigest);
    const since = site.front.seen.length;
    const copies = await Promise.all([1, 2, 3].map(() => site.copy(':2')));
    for (const digest of copies) assert.equal(digest, second!.manifestDigest);
    assert.deepEqual(upstreamBlobs(site, since), []);
    assert.equal(patchRequests(site), 1);
    assert.equal(await site.copy(`@${second!.manifestDigest}`), second!.manifestDigest);
    const ways = new Set(site.mirror.log.flatMap(({ way }) => way ?? []));
    assert.deepEqual([...ways], ['pass', 'patch', 'held']);
    assert.deepEqual(await readdir(join(site.directory, 'mirror', 'partial')), []);
  });
});
