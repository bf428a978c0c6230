/** The conformance suite of the distribution spec, in its read-only mode, against a mirror. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { temporaryDirectory } from '../support/directory.ts';
import { startMirror } from '../support/mirror.ts';
import { findProgram, missing } from '../support/programs.ts';
import { startReferrersRegistry } from '../support/registry.ts';
import { writeRelease } from '../support/releases.ts';
import { skopeoPush } from '../support/skopeo.ts';

const PROGRAMS = ['conformance', 'referrers-registry', 'skopeo'];

describe('the conformance suite of the distribution spec', { skip: missing(...PROGRAMS) }, () => {
  test('passes all that a registry without pushes can pass', async (t) => {
    const registry = await startReferrersRegistry(t);
    const directory = await temporaryDirectory(t);
    const layout = join(directory, 'layout');
    const { manifestDigest, layerDigests } = await writeRelease(layout, 1, 1);
    for (const tag of ['one', 'two']) await skopeoPush(`oci:${layout}`, `${registry.host}/team/app:${tag}`);
    const mirror = await startMirror(t, directory, '--upstream', `registry.example=http://${registry.host}`);
    const repository = 'registry.example/team/app';
    const env = {
      ...process.env,
      OCI_REGISTRY: mirror.host,
      OCI_TLS: 'disabled',
      OCI_REPO1: repository,
      OCI_REPO2: repository,
      OCI_API_PUSH: 'false',
      OCI_RO_DATA_TAGS: 'one two',
      OCI_RO_DATA_MANIFESTS: manifestDigest,
      OCI_RO_DATA_BLOBS: layerDigests.join(' '),
      OCI_RO_DATA_REFERRERS: manifestDigest,
    };
    // the program ends with an error while it writes its files, after the verdict is printed
    const output = await new Promise<string>((resolve) => {
      execFile(findProgram('conformance')!, [], { env, cwd: directory }, (_, stdout, stderr) =>
        resolve(stdout + stderr),
      );
    });
    assert.match(output, /^OCI Conformance Test: (?!FAIL)/m, output);
    assert.doesNotMatch(output, /: FAIL/, output);
    const passed = new Set(
      [...output.matchAll(/^ *OCI Conformance Test\/(\S.*): Pass$/gm)].map(([, name]) => name),
    );
    const expected = [
      'tag-list',
      'referrers',
      'head/manifest-head-by-tag',
      'head/blob-head',
      'pull/manifest-by-digest',
      'pull/blob-get',
    ];
    for (const name of ['ping', 'missing-manifest', ...expected.map((name) => `read-only/${name}`)]) {
      assert.ok(passed.has(name), `${name} has not passed:\n${output}`);
    }
  });
});
