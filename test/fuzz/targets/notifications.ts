/** Notifications of registries: the first character tells their kind. */
import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { parseNotification } from '../../../producers/watch/notification.ts';
import { parseWatched, repositoriesOf } from '../../../producers/watch/watched.ts';
import type { FuzzTarget } from '../target.ts';

const DIGEST = `sha256:${'5a'.repeat(32)}`;
const TARGET = {
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest: DIGEST,
  repository: 'team/app',
  tag: '1.0',
};
const PUSH = { action: 'push', target: TARGET, request: { host: 'registry.example' } };
const HARBOR = {
  resources: [{ digest: DIGEST, tag: '1.0', resource_url: 'registry.example/team/app:1.0' }],
  repository: { repo_full_name: 'team/app' },
};
const ZOT = { name: 'team/app', reference: '1.0', digest: DIGEST };
const PACKAGE = {
  name: 'app',
  namespace: 'team',
  package_type: 'container',
  package_version: { container_metadata: { tag: { name: '1.0', digest: DIGEST } } },
};
const cloudEvent = (type: string, data: object) => ({ specversion: '1.0', id: '1', source: '/', type, data });

/** Headers by kind. */
const HEADERS: readonly IncomingHttpHeaders[] = [
  { 'content-type': 'application/json' },
  { 'content-type': 'application/json', 'ce-specversion': '1.0', 'ce-type': 'zotregistry.image.updated' },
  { 'content-type': 'application/cloudevents+json' },
  { 'content-type': 'application/cloudevents-batch+json' },
  { 'content-type': 'application/json', 'x-github-event': 'package' },
];
const SEEDS: readonly (readonly [kind: number, document: unknown])[] = [
  [0, { events: [PUSH, { ...PUSH, action: 'pull' }] }],
  [0, { type: 'PUSH_ARTIFACT', event_data: HARBOR }],
  [1, ZOT],
  [2, cloudEvent('harbor.artifact.pushed', HARBOR)],
  [
    3,
    [
      cloudEvent('zotregistry.image.updated', ZOT),
      cloudEvent('Microsoft.ContainerRegistry.ImagePushed', PUSH),
    ],
  ],
  [4, { action: 'published', package: PACKAGE }],
];
const WATCHED = ['docker://registry.example', 'docker://other.example/team/app'].map(parseWatched);
const HOSTS = new Set(WATCHED.map(({ registry }) => registry));

export function open(): FuzzTarget {
  return {
    seeds: SEEDS.map(([kind, document]) => Buffer.from(`${kind}${JSON.stringify(document)}`)),
    kinds: ['bad-input', 'limit', 'usage'],
    // a name without a place: the listener answers the sender
    isInner: true,
    words: ['null', '[]', '{}', '"sha256:"', '../', '\\u0000', ':1', '@', '"__proto__":{}', 'evil.example/'],
    run(input) {
      const kind = Math.abs((input[0] ?? 0) - '0'.charCodeAt(0)) % HEADERS.length;
      const headers = HEADERS[kind]!;
      const notices = parseNotification(headers, input.subarray(1));
      for (const notice of notices) {
        assert.match(notice.digest, /^sha256:[0-9a-f]{64}$/);
        assert.match(notice.tag, /^\w[\w.-]{0,127}$/);
        for (const { registry, repository } of repositoriesOf(notice, WATCHED)) {
          assert.ok(HOSTS.has(registry), registry);
          assert.match(repository, /^[a-z0-9]+(?:(?:\.|_|__|-+|\/)[a-z0-9]+)*$/);
        }
      }
      return notices;
    },
  };
}
