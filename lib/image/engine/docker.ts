import { isDigest, parseDigest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { asArray, asRecord, asString, parseDocument } from '../../json.ts';
import { engineCommand, type EngineOptions, type Run } from './command.ts';
import type { Engine, EngineImage } from './engine.ts';

/** The Docker engine of the docker command, which reads DOCKER_HOST and contexts. */
export function dockerEngine(options?: EngineOptions): Engine {
  const run = engineCommand('docker', options);
  return {
    transport: 'docker-daemon',
    list: () => listImages(run, 'docker'),
    export: async (image, path) => void (await run('save', '-o', path, '--', image)),
    load: async (path) => void (await run('load', '-q', '-i', path)),
    tag: async (image, name) => void (await run('tag', '--', image, name)),
    pull: async (name) => void (await run('pull', '-q', '--', name)),
  };
}

const ATTEMPTS = 5;
/** Images per `image inspect`. */
const BATCH = 200;

/** Lists images and inspects them, anew if one was removed in between. */
export async function listImages(run: Run, where: string): Promise<EngineImage[]> {
  for (let attempt = 1; ; attempt++) {
    const ids = [
      ...new Set(
        String(await run('image', 'ls', '--no-trunc', '-q'))
          .split('\n')
          .filter(Boolean),
      ),
    ];
    try {
      const images: EngineImage[] = [];
      for (let at = 0; at < ids.length; at += BATCH) {
        const output = await run('image', 'inspect', '--', ...ids.slice(at, at + BATCH));
        images.push(...parseInspection(output, `${where} image inspect`));
      }
      return images;
    } catch (error) {
      if (!(error instanceof PanamaxError && error.kind === 'not-found') || attempt === ATTEMPTS) throw error;
    }
  }
}

/** Parses the output of `image inspect` of docker and podman. @throws PanamaxError `bad-input` */
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
