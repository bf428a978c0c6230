import assert from 'node:assert/strict';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import { isLater } from '../../../workers/pairing/direction.ts';
import { panamaxJson } from '../../support/commands.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { writeLayout } from '../../support/layout.ts';
import { releaseLayers } from '../../support/releases.ts';

const APP = 'docker://registry.example/team/app';

describe('a source is later than its target', () => {
  const cases: [
    title: string,
    source: string,
    target: string,
    newerBy: number | undefined,
    later: boolean,
  ][] = [
    ['by the versions of tags of one repository', `${APP}:1.10`, `${APP}:1.9`, -5, true],
    ['but not by a later build of an earlier version', `${APP}:1.9.4`, `${APP}:1.10.0`, 5, false],
    ['by time where a tag is no version', `${APP}:latest`, `${APP}:1.9`, 5, true],
    ['by time between tags of one version', `${APP}:1.9`, `${APP}:1.9`, 5, true],
    ['not in another repository', 'docker://registry.example/base:12', `${APP}:1.9`, 5, false],
    ['by time of images without names', 'oci:/images/b', 'oci:/images/a', 5, true],
    ['not if both were created at once', 'oci:/images/b', 'oci:/images/a', 0, false],
    ['not if a time is not known', 'oci:/images/b', 'oci:/images/a', undefined, false],
  ];
  for (const [title, source, target, newerBy, later] of cases) {
    test(title, () => assert.equal(isLater(source, target, newerBy), later));
  }
});

test('patches lead to later releases, unless sources are named or --rollback is given', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  for (const release of [1, 2, 3]) {
    const config = { created: `2026-0${release}-01T00:00:00.5+02:00` };
    await writeLayout(path(String(release)), releaseLayers(1, release), { config });
  }
  const images = ['1', '2', '3'].map(path);
  /** The pairs of a backfill as `SOURCE-TARGET`. */
  const pairsOf = async (store: string, ...options: string[]) => {
    const places = ['--store', path(store), '--scratch', path('scratch')];
    const { pairs } = await panamaxJson<{ pairs: { source: string; target: string }[] }>(
      'backfill',
      ...images,
      ...options,
      '--effort',
      'fast',
      ...places,
    );
    return pairs.map(({ source, target }) => `${basename(source)}-${basename(target)}`).sort();
  };
  assert.deepEqual(await pairsOf('forward'), ['1-2', '2-3']);
  const back = await pairsOf('back', '--rollback');
  assert.deepEqual([back.length, back.includes('2-1')], [3, true]);
  assert.deepEqual(await pairsOf('named', '--sources', ...images), back);
});
