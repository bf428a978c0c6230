import { isDigest } from '../../lib/digest.ts';
import { PanamaxError } from '../../lib/errors.ts';
import { openImage } from '../../lib/image/open.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { parseReleaseName } from '../../lib/image/oci/releasename.ts';
import { publishName } from '../../workers/publish/name.ts';
import { COMMON, operandCount, type Arguments, type Command } from '../command.ts';
import { printResult, SIGN_OPTIONS, STORE_OPTIONS, withContext } from '../options/session.ts';

const USAGE = 'NAME IMAGE|DIGEST [options]';

export const tagCommand: Command = {
  summary: 'Makes NAME stand for an image of the store.',
  usage: USAGE,
  options: {
    'reset-sequence': {
      type: 'boolean',
      help: 'replace an earlier record whose sequence is of the future; see docs/operations.md',
    },
    ...STORE_OPTIONS,
    ...SIGN_OPTIONS,
    ...COMMON,
  },
  async run(args, signal) {
    operandCount(args, 2, 2, USAGE);
    const name = parseReleaseName(args.operands[0]!);
    if (name.digest || !name.tag) {
      throw new PanamaxError('usage', 'not a name with a tag', { found: args.operands[0]! });
    }
    const record = await withContext(args, signal, async (context) =>
      publishName(
        { name, manifest: await manifestOf(args), resetSequence: args.flag('reset-sequence') },
        context,
      ),
    );
    const { target, platform, sequence } = record;
    printResult(args, record, `${record.name} ${platform}: image ${target.config}, sequence ${sequence}`);
  },
};

async function manifestOf({ operands, platform, limits }: Arguments) {
  const [, image] = operands;
  if (isDigest(image)) return image;
  return (await openImage(await parseReference(image!), { ...platform, limits })).manifestDigest;
}
