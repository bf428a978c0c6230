import * as v from 'valibot';
import { EXIT_CODES, type ErrorKind } from '../lib/errors.ts';
import { reportPartSchema } from '../lib/run/report.ts';
import { candidateSchema, failureSchema } from '../lib/run/schemas.ts';
import { digestSchema, objectSchema, sizeSchema } from '../lib/schema.ts';

/** The documents that commands print with --json. docs/json.md is made of these by packaging/jsondocs.ts. */

const string = v.string();
const boolean = v.boolean();
const seconds = v.pipe(v.number(), v.minValue(0));
const ratio = v.number();
const optional = v.exactOptional;

function documentOf<const Entries extends v.ObjectEntries>(entries: Entries) {
  return v.strictObject({ version: v.literal(1), ...entries });
}

const counts = objectSchema({ total: sizeSchema, done: sizeSchema, skipped: sizeSchema, failed: sizeSchema });
/** The total is unknown until the stage before is over. */
const stageCounts = objectSchema({
  total: optional(sizeSchema),
  done: sizeSchema,
  skipped: sizeSchema,
  failed: sizeSchema,
});
const stageWork = objectSchema({ done: ratio, left: ratio, secondsLeft: optional(seconds) });
const bytes = objectSchema({ pull: ratio, patches: ratio, saved: ratio });
const identity = objectSchema({
  manifest: digestSchema,
  config: digestSchema,
  layers: digestSchema,
  size: sizeSchema,
});
const stages = objectSchema({ signature: stageCounts, pairing: stageCounts, delta: stageCounts });
const statusFields = {
  id: string,
  started: string,
  finished: optional(string),
  idleSince: optional(string),
  stages,
  failures: v.array(objectSchema({ what: string, error: failureSchema })),
  bytes,
  secondsLeft: optional(seconds),
  work: optional(objectSchema({ signature: stageWork, pairing: stageWork, delta: stageWork })),
};
const nameFields = {
  name: string,
  platform: string,
  target: identity,
  sequence: sizeSchema,
  store: optional(string),
  expires: optional(sizeSchema),
  signature: optional(v.unknown()),
  signatures: optional(v.unknown()),
};
const tally = objectSchema({
  added: sizeSchema,
  queued: sizeSchema,
  failed: sizeSchema,
  skipped: sizeSchema,
  done: sizeSchema,
});
const removed = v.array(objectSchema({ key: string, size: sizeSchema }));
const fault = objectSchema({
  key: string,
  kind: v.picklist(['damaged', 'missing', 'untrusted', 'unreadable', 'unknown', 'expired']),
  what: string,
  target: optional(digestSchema),
});
const kept = objectSchema({ manifest: v.nullable(digestSchema), config: digestSchema });
const layer = objectSchema({
  diffID: digestSchema,
  size: optional(sizeSchema),
  digest: optional(digestSchema),
});

const KINDS = Object.keys(EXIT_CODES) as ErrorKind[];

/** Printed on standard error, as one line, by a command that fails. */
export const ERROR_SCHEMA = documentOf({
  error: v.strictObject({
    kind: v.picklist(KINDS),
    exitCode: sizeSchema,
    message: string,
    expected: optional(v.union([string, v.number()])),
    found: optional(v.union([string, v.number()])),
    where: optional(string),
  }),
});

/** The documents of each command. A command that has several prints one of them. */
export const SCHEMAS: Readonly<Record<string, readonly v.GenericSchema[]>> = {
  apply: [
    documentOf({
      image: digestSchema,
      manifest: v.nullable(digestSchema),
      platform: string,
      output: string,
      patchSize: sizeSchema,
    }),
  ],
  backfill: [
    documentOf({
      id: string,
      started: string,
      finished: string,
      rankings: counts,
      images: v.array(objectSchema({ reference: string, status: string, manifest: optional(digestSchema) })),
      pairs: reportPartSchema.pipe[1].entries.pairs,
      passedOver: reportPartSchema.pipe[1].entries.passedOver,
    }),
  ],
  bundle: [documentOf({ images: sizeSchema, patches: sizeSchema, bytes: sizeSchema })],
  calibrate: [
    documentOf({
      pairs: sizeSchema,
      known: sizeSchema,
      calibrations: v.record(string, objectSchema({ changed: ratio, new: ratio })),
    }),
  ],
  check: [
    documentOf({
      objects: v.record(string, sizeSchema),
      faults: v.array(fault),
      orphans: v.array(string),
      expiring: v.array(objectSchema({ name: string, platform: string, expires: string })),
      unpatched: v.array(objectSchema({ name: string, platform: string, manifest: digestSchema })),
      repaired: optional(
        objectSchema({ removed: v.array(string), rewritten: v.array(string), left: v.array(fault) }),
      ),
      advice: v.array(string),
    }),
  ],
  diff: [
    documentOf({
      format: string,
      size: sizeSchema,
      digest: digestSchema,
      encodeSeconds: seconds,
      seconds,
      pullSize: sizeSchema,
      source: digestSchema,
      target: digestSchema,
      isExact: boolean,
    }),
  ],
  enqueue: [
    documentOf({
      run: string,
      stages: objectSchema({ signature: tally, pairing: tally, delta: tally }),
      status: optional(objectSchema(statusFields)),
    }),
  ],
  gc: [
    documentOf({
      applied: boolean,
      bytes: sizeSchema,
      kept: v.array(digestSchema),
      removed: v.array(
        objectSchema({ target: digestSchema, why: string, isGone: boolean, objects: removed }),
      ),
      names: v.array(string),
      left: v.array(objectSchema({ target: digestSchema, why: string })),
      compressions: removed,
      layers: removed,
      runs: v.array(objectSchema({ run: string, objects: removed })),
    }),
  ],
  index: [documentOf({ images: v.array(digestSchema) })],
  inspect: [
    documentOf({
      kind: v.literal('image'),
      reference: string,
      manifest: digestSchema,
      config: digestSchema,
      platform: string,
      layers: v.array(layer),
    }),
    documentOf({
      kind: v.literal('patch'),
      format: string,
      size: sizeSchema,
      source: objectSchema({ config: digestSchema, manifest: optional(digestSchema) }),
      target: objectSchema({
        manifest: optional(digestSchema),
        config: digestSchema,
        platform: string,
        isExact: boolean,
        layers: v.array(layer),
      }),
    }),
  ],
  keygen: [documentOf({ id: string, privateKey: string, publicKey: string })],
  mirror: [
    documentOf({
      files: v.array(objectSchema({ path: string, text: string })),
      notes: v.array(string),
    }),
    documentOf({ images: v.array(objectSchema({ name: string, digest: digestSchema, bytes: sizeSchema })) }),
  ],
  plan: [
    documentOf({
      format: string,
      patches: v.array(
        objectSchema({
          source: string,
          target: string,
          size: sizeSchema,
          sites: sizeSchema,
          saves: ratio,
          seconds,
        }),
      ),
      seconds,
      bytes: objectSchema({ withPatches: ratio, withoutPatches: ratio }),
      failures: v.array(objectSchema({ what: string, error: failureSchema })),
    }),
  ],
  publish: [
    documentOf({
      published: v.array(
        objectSchema({
          reference: string,
          target: digestSchema,
          patches: v.array(objectSchema({ format: string, size: sizeSchema })),
          name: optional(digestSchema),
        }),
      ),
    }),
  ],
  pull: [
    documentOf({
      name: string,
      method: v.picklist(['none', 'patch', 'pull']),
      target: optional(kept),
      patch: optional(v.unknown()),
      keepsManifest: optional(boolean),
      movedBytes: sizeSchema,
      pullBytes: optional(sizeSchema),
      enginePull: optional(objectSchema({ most: sizeSchema, lacking: optional(sizeSchema) })),
      attached: optional(sizeSchema),
      reasons: v.array(string),
      dryRun: boolean,
    }),
  ],
  rank: [
    documentOf({
      target: digestSchema,
      isThere: boolean,
      candidates: v.array(
        v.intersect([objectSchema({ reference: string, isWorthIt: boolean }), candidateSchema]),
      ),
    }),
  ],
  report: [documentOf({ run: string, output: string, size: sizeSchema })],
  similar: [
    documentOf({
      target: digestSchema,
      similar: v.array(
        objectSchema({
          name: optional(string),
          manifest: digestSchema,
          similarity: ratio,
          candidate: optional(candidateSchema),
        }),
      ),
    }),
  ],
  status: [
    documentOf({
      runs: v.array(
        objectSchema({
          id: string,
          state: v.picklist(['over', 'active', 'idle']),
          since: string,
          summary: optional(objectSchema({ id: string, started: string, finished: string, stages, bytes })),
        }),
      ),
      expiring: v.array(
        objectSchema({ name: string, platform: string, expires: string, isExpired: boolean }),
      ),
    }),
    documentOf(statusFields),
  ],
  tag: [
    documentOf(nameFields),
    documentOf({
      renewals: v.array(
        objectSchema({ record: objectSchema(nameFields), outcome: string, why: optional(string) }),
      ),
    }),
  ],
  version: [documentOf({ release: string, commit: string, node: string, platform: string })],
};
