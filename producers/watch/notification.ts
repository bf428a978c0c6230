import type { IncomingHttpHeaders } from 'node:http';
import * as v from 'valibot';
import type { Digest } from '../../lib/digest.ts';
import { PanamaxError } from '../../lib/errors.ts';
import { asArray, asRecord, parseDocument } from '../../lib/json.ts';
import { digestSchema, objectSchema, parseWith } from '../../lib/schema.ts';
import { isReferrersTag } from '../question/expand.ts';

/** A push of a tag that a registry tells of. */
export interface Notice {
  /** The registry's own idea of its host; undefined if the notification names none. */
  readonly host?: string | undefined;
  readonly repository: string;
  readonly tag: string;
  readonly digest: Digest;
}

const MAX_EVENTS = 1000;
const TAG = /^\w[\w.-]{0,127}$/;
const PLACE = 'notification';

/**
 * Reads the pushes of tags from a notification of Docker distribution, of Harbor, of GitHub's package registry, or from a
 * CloudEvent of Harbor, zot or Azure in binary or structured mode (CloudEvents 1.0, HTTP protocol binding). Events of
 * other kinds, and pushes without a tag (parts of an index, referrers), are left out.
 *
 * @throws PanamaxError `bad-input` for anything else, `limit` for too many events
 */
export function parseNotification(headers: IncomingHttpHeaders, body: Buffer): Notice[] {
  const document = parseDocument(body, PLACE);
  const notices = pushesOf(headers, document);
  return notices.filter(({ tag }) => TAG.test(tag) && !isReferrersTag(tag));
}

function pushesOf(headers: IncomingHttpHeaders, document: unknown): Notice[] {
  const type = (headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
  if (type === 'application/cloudevents-batch+json') {
    return limited(asArray(document, PLACE)).flatMap(ofCloudEvent);
  }
  if (headers['ce-specversion'] !== undefined) {
    return ofData(headers['ce-specversion'], headers['ce-type'], document);
  }
  if (Array.isArray(document)) return limited(document).flatMap(ofCloudEvent);
  const record = asRecord(document, PLACE);
  if (type === 'application/cloudevents+json' || 'specversion' in record) return ofCloudEvent(record);
  const event = headers['x-github-event'];
  if (event !== undefined) return ofGitHub(String(event), record);
  if ('events' in record)
    return limited(asArray(record['events'], `${PLACE} events`)).flatMap(ofDistribution);
  if ('event_data' in record) {
    return record['type'] === 'PUSH_ARTIFACT' ? ofHarbor(record['event_data']) : [];
  }
  throw new PanamaxError('bad-input', 'not a notification of a registry', {
    expected: 'events, event_data, a CloudEvent, or a package event of GitHub',
  });
}

function ofCloudEvent(event: unknown): Notice[] {
  const { specversion, type, data } = asRecord(event, PLACE);
  return ofData(specversion, type, data);
}

/** @param data of a CloudEvent */
function ofData(version: unknown, type: unknown, data: unknown): Notice[] {
  if (version !== '1.0' || typeof type !== 'string') {
    throw new PanamaxError('bad-input', 'not a CloudEvent', {
      expected: 'specversion 1.0 and a type',
      where: PLACE,
    });
  }
  if (type === 'harbor.artifact.pushed') return ofHarbor(data);
  if (/(^|\.)image\.updated$/.test(type)) return ofZot(data);
  if (type.endsWith('.ImagePushed')) return ofDistribution(data);
  return [];
}

/** An event of distribution ("Work with notifications", "Events"), which is also the data of Azure's CloudEvents. */
const distributionSchema = objectSchema({
  action: v.string(),
  target: objectSchema({
    digest: v.optional(v.string()),
    repository: v.optional(v.string()),
    tag: v.optional(v.string()),
  }),
  request: v.optional(v.nullable(objectSchema({ host: v.optional(v.string()) }))),
});
const pushSchema = objectSchema({ digest: digestSchema, repository: v.string(), tag: v.string() });

function ofDistribution(event: unknown): Notice[] {
  const { action, target, request } = parseWith(distributionSchema, event, `${PLACE} event`);
  if (action !== 'push' || !target.tag) return [];
  return [{ host: request?.host, ...parseWith(pushSchema, target, `${PLACE} target`) }];
}

/** Event data of Harbor ("Configure Webhook Notifications", "Payload Format"). */
const harborSchema = objectSchema({
  resources: v.array(
    objectSchema({ digest: digestSchema, tag: v.optional(v.string()), resource_url: v.optional(v.string()) }),
  ),
  repository: objectSchema({ repo_full_name: v.string() }),
});

function ofHarbor(data: unknown): Notice[] {
  const { resources, repository } = parseWith(harborSchema, data, `${PLACE} event_data`);
  return limited(resources).map(({ digest, tag = '', resource_url: url }) => ({
    host: url?.split('/', 1)[0],
    repository: repository.repo_full_name,
    tag,
    digest,
  }));
}

/** Data of zot's image events. Its reference is a tag or a digest. */
const zotSchema = objectSchema({ name: v.string(), reference: v.string(), digest: digestSchema });

function ofZot(data: unknown): Notice[] {
  const { name, reference, digest } = parseWith(zotSchema, data, `${PLACE} data`);
  return [{ repository: name, tag: reference, digest }];
}

/** The webhook events `package` and `registry_package` of GitHub. */
const packageSchema = objectSchema({
  name: v.string(),
  namespace: v.string(),
  package_type: v.string(),
  package_version: v.nullish(
    objectSchema({
      container_metadata: v.nullish(
        objectSchema({
          tag: v.nullish(objectSchema({ name: v.nullish(v.string()), digest: v.nullish(v.string()) })),
        }),
      ),
    }),
  ),
});
const tagSchema = objectSchema({ name: v.string(), digest: digestSchema });

function ofGitHub(event: string, record: Readonly<Record<string, unknown>>): Notice[] {
  if (event !== 'package' && event !== 'registry_package') return [];
  const found = parseWith(packageSchema, record[event], `${PLACE} ${event}`);
  const tag = found.package_version?.container_metadata?.tag;
  const isPush = record['action'] === 'published' || record['action'] === 'updated';
  if (found.package_type.toLowerCase() !== 'container' || !isPush || !tag?.name) return [];
  const { name, digest } = parseWith(tagSchema, tag, `${PLACE} ${event} tag`);
  const repository = `${found.namespace}/${found.name}`.toLowerCase();
  return [{ host: 'ghcr.io', repository, tag: name, digest }];
}

function limited<Item>(events: readonly Item[]): readonly Item[] {
  if (events.length <= MAX_EVENTS) return events;
  throw new PanamaxError('limit', 'too many events in a notification', {
    expected: `at most ${MAX_EVENTS}`,
    found: events.length,
  });
}
