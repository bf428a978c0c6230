import { isDigest, type Digest } from '../../lib/digest.ts';
import { PanamaxError } from '../../lib/errors.ts';
import { openImage } from '../../lib/image/open.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import type { SimilarityIndex } from '../../lib/pairing/forest.ts';
import type { StageContext } from '../../workers/context.ts';
import { rebuildIndex } from '../../workers/pairing/similar.ts';
import { signatureStage } from '../../workers/signature/stage.ts';
import { COMMON, type Arguments, type Command } from '../command.ts';
import { REDIS_OPTION, redisUrl, withRedisIndex } from '../options/queue.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { printResult, STORE_OPTIONS, withContext } from '../options/session.ts';

const ACTIONS_WITH_OPERANDS = 'list, add IMAGE..., remove IMAGE|DIGEST... or rebuild';

export const indexCommand: Command = {
  summary: 'Lists, changes or rebuilds the similarity index of a store in Redis.',
  operands: ['ACTION', '[IMAGE...]'],
  options: { ...REDIS_OPTION, ...STORE_OPTIONS, ...REGISTRY_OPTIONS, ...COMMON },
  async run(args, signal) {
    const [action, ...images] = args.operands;
    const act = ACTIONS.get(action ?? '');
    if (!act || images.length > 0 !== TAKES_IMAGES.has(action!)) {
      throw new PanamaxError('usage', 'unknown action, or wrong number of images', {
        expected: ACTIONS_WITH_OPERANDS,
        found: args.operands.join(' '),
      });
    }
    const url = redisUrl(args);
    await withContext(args, signal, async (context) => {
      await withRedisIndex(url, context.store, async (similar) => {
        const manifests = await act(images, { ...context, similar }, args);
        printResult(args, { images: manifests }, manifests.join('\n'));
      });
    });
  },
};

/** Returns the manifests of the listed, added or removed images. */
type Action = (images: readonly string[], context: StageContext, args: Arguments) => Promise<Digest[]>;

const ACTIONS = new Map<string, Action>([
  ['list', async (_, { similar }) => listed(similar)],
  ['add', add],
  ['remove', remove],
  ['rebuild', async (_, { similar, store, signal }) => listed(await rebuildIndex(similar, store, signal))],
]);
const TAKES_IMAGES = new Set(['add', 'remove']);

async function listed(index: SimilarityIndex): Promise<Digest[]> {
  return (await Array.fromAsync(index.list())).sort();
}

async function add(images: readonly string[], context: StageContext, args: Arguments): Promise<Digest[]> {
  const added: Digest[] = [];
  for (const reference of images) {
    added.push((await signatureStage({ reference, ...args.platform }, context)).manifest);
  }
  return added;
}

async function remove(
  images: readonly string[],
  { similar, limits, scratch, signal }: StageContext,
  args: Arguments,
): Promise<Digest[]> {
  const removed: Digest[] = [];
  for (const image of images) {
    const options = { ...args.platform, limits, scratch, signal };
    // a digest also names an image that does not exist any more
    const manifest = isDigest(image)
      ? image
      : (await openImage(await parseReference(image), options)).manifestDigest;
    await similar.remove(manifest);
    removed.push(manifest);
  }
  return removed;
}
