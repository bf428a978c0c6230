import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { digestOf, type Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { asArray, asRecord, asString, parseDocument } from '../../json.ts';
import type { Attachments } from './attachments.ts';
import { blobsIn, lists } from './collect.ts';

/**
 * Verifies that one of the trusted keys has signed an image, or an index with it, in one of cosign's formats.
 *
 * @throws PanamaxError `untrusted`
 */
export type VerifyCosign = (attachments: Attachments, where: string) => void;

/** cosign's signature format of old: a payload is a layer of the artifact, its signature an annotation of the layer. */
const SIMPLE_SIGNING = 'application/vnd.dev.cosign.simplesigning.v1+json';
const SIGNATURE = 'dev.cosignproject.cosign/signature';
/** Value of `critical.type` in a payload. */
const SIGNATURE_TYPE = 'cosign container image signature';
/** cosign's format since 3.0: a bundle (sigstore/protobuf-specs) around a DSSE envelope around an in-toto statement. */
const BUNDLE = /^application\/vnd\.dev\.sigstore\.bundle(\.v0\.\d+\+json|\+json;version=0\.\d+)$/;
const IN_TOTO = 'application/vnd.in-toto+json';
const SIGN_PREDICATE = 'https://sigstore.dev/cosign/sign/v1';
/** Bounds the time that verifying takes. */
const MAX_SIGNATURES = 256;

/** Reads public keys as `cosign generate-key-pair` writes them: ECDSA P-256, SPKI, PEM. @throws PanamaxError `usage` */
export async function readCosignKeys(paths: readonly string[]): Promise<VerifyCosign> {
  const trusted: KeyObject[] = [];
  for (const path of paths) trusted.push(await readKey(path));
  return (attachments, where) => {
    const subjects = subjectsOf(attachments);
    let seen = 0;
    let isOfOther = false;
    for (const { signed, signature, read } of signaturesIn(attachments)) {
      if (++seen > MAX_SIGNATURES) break;
      if (!trusted.some((key) => verify('sha256', signed, { key, dsaEncoding: 'der' }, signature))) continue;
      // the owner of the key has written the bytes
      if (read().some((digest) => subjects.has(digest))) return;
      isOfOther = true;
    }
    const why = isOfOther
      ? 'the cosign signatures are of other images'
      : 'no cosign signature of a key that is trusted';
    throw new PanamaxError('untrusted', why, {
      expected: `a signature of ${attachments.target}`,
      found: `${seen} signatures`,
      where,
    });
  };
}

async function readKey(path: string): Promise<KeyObject> {
  const expected = 'an ECDSA P-256 public key as PEM, as in cosign.pub';
  const pem = await readFile(path, 'utf8');
  try {
    if (!pem.includes('BEGIN PUBLIC KEY')) throw new Error('no public key');
    const key = createPublicKey(pem);
    if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key;
  } catch (cause) {
    // the message leaves out the content, which may be a private key
    throw new PanamaxError('usage', 'key cannot be read', { expected, where: path }, { cause });
  }
  throw new PanamaxError('usage', 'key of another kind', { expected, where: path });
}

/** Digests whose signature is one of the image: of its manifest, and of the indexes with it. */
function subjectsOf({ target, manifest, indexes }: Attachments): Set<string> {
  if (digestOf(manifest) !== target) return new Set();
  return new Set([
    target,
    ...indexes.filter((index) => lists(index, target)).map((index) => digestOf(index)),
  ]);
}

interface CosignSignature {
  /** The signed bytes. */
  readonly signed: Buffer;
  /** ASN.1 DER. */
  readonly signature: Buffer;
  /** The images that the signed bytes name; none if they cannot be read. */
  readonly read: () => readonly string[];
}

/**
 * The signatures of both formats. Unreadable ones are skipped. A bundle is parsed once, though many artifacts may name
 * it: the documents may come from anybody.
 */
function* signaturesIn({ artifacts, blobs }: Attachments): Generator<CosignSignature> {
  const bundles = new Set<Digest>();
  for (const { document, digest: artifact } of artifacts) {
    const descriptors = unlessDamaged(() => blobsIn(Buffer.from(document), artifact));
    for (const { mediaType, digest, annotations } of descriptors) {
      const bytes = blobs.get(digest);
      if (!bytes) continue;
      if (BUNDLE.test(mediaType) && !bundles.has(digest)) {
        bundles.add(digest);
        yield* unlessDamaged(() => signaturesInBundle(bytes));
      }
      const signature = annotations?.[SIGNATURE];
      if (mediaType !== SIMPLE_SIGNING || signature === undefined) continue;
      const read = () => unlessDamaged(() => subjectOfPayload(bytes));
      yield { signed: bytes, signature: Buffer.from(signature, 'base64'), read };
    }
  }
}

function subjectOfPayload(payload: Buffer): string[] {
  const critical = asRecord(asRecord(parseDocument(payload, ''), '')['critical'], '');
  if (critical['type'] !== SIGNATURE_TYPE) return [];
  return [asString(asRecord(critical['image'], '')['docker-manifest-digest'], '')];
}

function signaturesInBundle(bundle: Buffer): CosignSignature[] {
  const envelope = asRecord(asRecord(parseDocument(bundle, ''), '')['dsseEnvelope'], '');
  if (envelope['payloadType'] !== IN_TOTO) return [];
  const payload = Buffer.from(asString(envelope['payload'], ''), 'base64');
  // pre-authentication encoding (DSSE, protocol.md)
  const head = `DSSEv1 ${IN_TOTO.length} ${IN_TOTO} ${payload.length} `;
  const signed = Buffer.concat([Buffer.from(head), payload]);
  return asArray(envelope['signatures'], '').map((item) => ({
    signed,
    signature: Buffer.from(asString(asRecord(item, '')['sig'], ''), 'base64'),
    read: () => unlessDamaged(() => subjectsOfStatement(payload)),
  }));
}

/** An attestation, such as a bill of materials, is no approval of the image. */
function subjectsOfStatement(payload: Buffer): string[] {
  const { subject, predicateType } = asRecord(parseDocument(payload, ''), '');
  if (predicateType !== SIGN_PREDICATE) return [];
  return asArray(subject, '').map(
    (item) => `sha256:${asString(asRecord(asRecord(item, '')['digest'], '')['sha256'], '')}`,
  );
}

function unlessDamaged<Item>(read: () => Item[]): Item[] {
  try {
    return read();
  } catch (error) {
    if (error instanceof PanamaxError && /^(bad-input|limit)$/.test(error.kind)) return [];
    throw error;
  }
}
