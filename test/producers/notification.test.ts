/** Notifications as registries document them, and bodies that are none. */
import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { describe, test } from 'node:test';
import { PanamaxError } from '../../lib/errors.ts';
import { parseNotification } from '../../producers/watch/notification.ts';
import { parseWatched, repositoriesOf } from '../../producers/watch/watched.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}` as const;
const TYPE = { 'content-type': 'application/json' };

function parse(document: unknown, headers: IncomingHttpHeaders = TYPE) {
  return parseNotification(headers, Buffer.from(JSON.stringify(document)));
}

/** Docker distribution, "Work with notifications". */
const distribution = (action: string, target: object) => ({
  id: 'asdf-asdf-asdf-asdf-0',
  timestamp: '2006-01-02T15:04:05Z',
  action,
  target: {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    length: 1,
    digest: DIGEST,
    repository: 'team/app',
    url: 'http://registry.internal:5000/v2/team/app/manifests/x',
    ...target,
  },
  request: { id: 'r', addr: '192.0.2.7', host: 'registry.internal:5000', method: 'PUT', useragent: 'skopeo' },
  actor: { name: 'ci' },
  source: { addr: 'registry:5000', instanceID: 'i' },
});

/** Harbor, "Configure Webhook Notifications". */
const harborData = {
  resources: [{ digest: DIGEST, tag: 'v1', resource_url: 'hub.example/library/debian:v1' }],
  repository: {
    date_created: 1_586_922_308,
    name: 'debian',
    namespace: 'library',
    repo_full_name: 'library/debian',
    repo_type: 'public',
  },
};
const harborNotice = { host: 'hub.example', repository: 'library/debian', tag: 'v1', digest: DIGEST };

const zotData = { name: 'golang', reference: '1.20', digest: DIGEST, mediaType: 'm', manifest: '{}' };
const zotNotice = { repository: 'golang', tag: '1.20', digest: DIGEST };

/** GitHub, webhook events `registry_package` and `package`. */
const githubPackage = (version: object) => ({
  id: 10_696,
  name: 'App',
  namespace: 'Codertocat',
  ecosystem: 'CONTAINER',
  package_type: 'CONTAINER',
  html_url: 'https://github.com/Codertocat/App/packages/10696',
  package_version: { id: 1, version: DIGEST, ...version },
});
const githubNotice = { host: 'ghcr.io', repository: 'codertocat/app', tag: '2.0', digest: DIGEST };
const metadata = { labels: {}, manifest: {}, tag: { name: '2.0', digest: DIGEST } };

const cloudEvent = (type: string, data: unknown) => ({
  specversion: '1.0',
  id: '4b2f89a6',
  source: '/projects/1/webhook/policies/3',
  type,
  datacontenttype: 'application/json',
  time: '2023-03-06T06:08:43Z',
  data,
});
const structured = { 'content-type': 'application/cloudevents+json; charset=UTF-8' };
const binary = (type: string) => ({ ...TYPE, 'ce-specversion': '1.0', 'ce-type': type, 'ce-id': '1' });

function refused(document: unknown, headers: IncomingHttpHeaders, message: RegExp, kind = 'bad-input'): void {
  assert.throws(
    () => parse(document, headers),
    (error) => error instanceof PanamaxError && error.kind === kind && message.test(error.message),
  );
}

describe('notifications', () => {
  test('of distribution give the pushes of tags', () => {
    const events = [
      distribution('push', { tag: '1.1' }),
      distribution('pull', { tag: '1.1' }),
      // a part of an index, and a layer
      distribution('push', {}),
      distribution('push', { tag: `sha256-${'0'.repeat(64)}` }),
      distribution('delete', { digest: undefined, mediaType: undefined }),
    ];
    const headers = { 'content-type': 'application/vnd.docker.distribution.events.v2+json' };
    const notice = { host: 'registry.internal:5000', repository: 'team/app', tag: '1.1', digest: DIGEST };
    assert.deepEqual(parse({ events }, headers), [notice]);
  });

  test('of Harbor give pushes, in its own format and as CloudEvents', () => {
    const push = {
      type: 'PUSH_ARTIFACT',
      occur_at: 1_586_922_308,
      operator: 'admin',
      event_data: harborData,
    };
    assert.deepEqual(parse(push), [harborNotice]);
    assert.deepEqual(parse({ ...push, type: 'DELETE_ARTIFACT' }), []);
    const [resource] = harborData.resources;
    const untagged = { ...harborData, resources: [{ ...resource, tag: DIGEST }] };
    assert.deepEqual(parse({ ...push, event_data: untagged }), []);
    assert.deepEqual(parse(cloudEvent('harbor.artifact.pushed', harborData), structured), [harborNotice]);
    assert.deepEqual(parse(cloudEvent('harbor.artifact.pulled', harborData), structured), []);
  });

  test('of zot are CloudEvents in binary mode, also with a prefix of its own', () => {
    assert.deepEqual(parse(zotData, binary('zotregistry.image.updated')), [zotNotice]);
    assert.deepEqual(parse(zotData, binary('com.example.registry.image.updated')), [zotNotice]);
    assert.deepEqual(parse({ name: 'golang' }, binary('zotregistry.repository.created')), []);
    assert.deepEqual(parse({ ...zotData, reference: DIGEST }, binary('zotregistry.image.updated')), []);
  });

  test('as CloudEvents come alone, with a plain JSON type, and in batches', () => {
    const push = cloudEvent('Microsoft.ContainerRegistry.ImagePushed', distribution('push', { tag: '1' }));
    assert.deepEqual(
      parse(push).map(({ tag }) => tag),
      ['1'],
    );
    const batch = { 'content-type': 'application/cloudevents-batch+json' };
    assert.equal(parse([push, cloudEvent('zotregistry.image.updated', zotData)], batch).length, 2);
    assert.equal(parse([push, push]).length, 2);
  });

  test('of GitHub give tags of containers', () => {
    for (const event of ['package', 'registry_package']) {
      const headers = { ...TYPE, 'x-github-event': event };
      const found = (version: object, action = 'published') =>
        parse({ action, [event]: githubPackage(version) }, headers);
      assert.deepEqual(found({ container_metadata: metadata }), [githubNotice]);
      assert.deepEqual(found({ container_metadata: metadata }, 'removed'), []);
      assert.deepEqual(found({ container_metadata: { tag: { name: '', digest: DIGEST } } }), []);
      assert.deepEqual(found({}), []);
    }
    assert.deepEqual(parse({ zen: 'Keep it logically awesome.' }, { ...TYPE, 'x-github-event': 'ping' }), []);
  });

  test('with wrong fields are refused with the field', () => {
    refused({}, TYPE, /not a notification of a registry/);
    refused(7, TYPE, /an object/);
    refused({ events: {} }, TYPE, /array/);
    refused({ events: [distribution('push', { tag: '1', digest: 'x' })] }, TYPE, /digest/);
    refused({ events: [{ action: 'push' }] }, TYPE, /target/);
    refused({ events: [distribution('push', { tag: { a: 1 } })] }, TYPE, /tag/);
    refused({ events: Array.from({ length: 1001 }, () => ({})) }, TYPE, /too many/, 'limit');
    refused({ type: 'PUSH_ARTIFACT', event_data: { resources: 1 } }, TYPE, /resources/);
    refused({ ...cloudEvent('a', {}), specversion: '0.3' }, structured, /specversion 1.0/);
    refused(null, binary('zotregistry.image.updated'), /data/);
    refused({}, { ...TYPE, 'x-github-event': 'package' }, /package/);
    assert.throws(() => parseNotification(TYPE, Buffer.from('{"events":[')), /not a JSON document/);
    assert.throws(() => parseNotification(TYPE, Buffer.from([0x7b, 0xff, 0x7d])), /not a JSON document/);
  });
});

describe('watched repositories', () => {
  const watched = ['docker://a.example/team/app', 'docker://b.example:5000'].map(parseWatched);
  const places = (notice: { host?: string; repository: string }) =>
    repositoriesOf({ tag: '1', digest: DIGEST, ...notice }, watched).map(
      ({ registry, repository }) => `${registry}/${repository}`,
    );

  test('are those of the list, not the host in a notification', () => {
    const both = ['a.example/team/app', 'b.example:5000/team/app'];
    assert.deepEqual(places({ repository: 'team/app' }), both);
    assert.deepEqual(places({ host: 'evil.example', repository: 'team/app' }), both);
    assert.deepEqual(places({ host: 'evil.example', repository: 'other' }), ['b.example:5000/other']);
    assert.deepEqual(places({ host: 'A.example', repository: 'team/app' }), ['a.example/team/app']);
    assert.deepEqual(places({ host: 'a.example', repository: 'team/other' }), ['b.example:5000/team/other']);
  });

  test('have names that a registry can have', () => {
    for (const repository of ['../x', 'a/../../v1', 'a?b', 'a b', 'a:1', 'a@b', '', '%2e%2e', 'A']) {
      assert.throws(() => places({ repository }), PanamaxError, repository);
    }
  });

  test('are named by docker://HOST/REPO and docker://HOST', () => {
    assert.deepEqual(parseWatched('docker://h:5000'), { registry: 'h:5000' });
    assert.deepEqual(parseWatched('docker://h.example/a/b'), { registry: 'h.example', repository: 'a/b' });
    for (const text of ['docker://h.example/a:1', 'docker://h.example/a@x', 'oci:x', 'docker://']) {
      assert.throws(() => parseWatched(text), PanamaxError, text);
    }
  });
});
