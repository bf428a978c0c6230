import { asArray, asRecord, asString, isDigest, parseDigest, parseDocument } from '../image/oci/descriptor.ts';
import type { EngineImage } from '../image/engine/engine.ts';

/** Reads what `docker image inspect` prints of images, and podman after it. @throws PanamaxError `bad-input` */
export function parseInspection(output: Buffer, where: string): EngineImage[] {
  return asArray(parseDocument(output, where), where).map((value) => {
    const record = asRecord(value, where);
    const id = asString(record['Id'], `${where} Id`);
    const at = `${where} ${id}`;
    const rootfs = asRecord(record['RootFS'], `${at} RootFS`);
    const repoDigests = strings(record['RepoDigests'], at).map((text) => text.slice(text.indexOf('@') + 1));
    return {
      config: parseDigest(id.startsWith('sha256:') ? id : `sha256:${id}`, at),
      diffIDs: asArray(rootfs['Layers'] ?? [], at).map((layer) => parseDigest(layer, at)),
      names: strings(record['RepoTags'], at),
      manifests: [...new Set([record['Digest'], ...repoDigests].filter(isDigest))],
    };
  });
}

function strings(value: unknown, where: string): string[] {
  return asArray(value ?? [], where).map((item) => asString(item, where));
}
