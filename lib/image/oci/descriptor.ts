import { type Digest, parseDigest } from '../../digest.ts';
import { asRecord, asString, asSize } from '../../json.ts';

/** Refers to a blob (OCI image-spec, descriptor.md). `size` is in bytes. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly platform?: Platform;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** @throws PanamaxError `bad-input` */
export function parseDescriptor(value: unknown, where: string): Descriptor {
  const record = asRecord(value, where);
  return {
    mediaType: asString(record['mediaType'] ?? '', `${where}.mediaType`),
    digest: parseDigest(record['digest'], `${where}.digest`),
    size: asSize(record['size'], `${where}.size`),
    ...(record['platform'] === undefined ? {} : { platform: parsePlatform(record['platform'], where) }),
    ...(isStringMap(record['annotations']) ? { annotations: record['annotations'] } : {}),
  };
}

function parsePlatform(value: unknown, where: string): Platform {
  const record = asRecord(value, `${where}.platform`);
  return {
    os: asString(record['os'], `${where}.platform.os`),
    architecture: asString(record['architecture'], `${where}.platform.architecture`),
    ...(typeof record['variant'] === 'string' && record['variant'] ? { variant: record['variant'] } : {}),
  };
}

function isStringMap(value: unknown): value is Record<string, string> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((v) => typeof v === 'string')
  );
}
