import { isDigest } from '../../lib/digest.ts';
import { PanamaxError } from '../../lib/errors.ts';
import { openImage } from '../../lib/image/open.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { parseReleaseName } from '../../lib/image/oci/releasename.ts';
import { publishName } from '../../workers/publish/name.ts';
import { COMMON, type Arguments, type Command } from '../command.ts';
import type { NameRecord } from '../../lib/store/name.ts';
import { formatTime } from '../../lib/store/nametrust.ts';
import { renewNames } from '../../lib/store/naming.ts';
import { openStore } from '../../lib/store/objects/open.ts';
import { printResult, readSigning, SIGN_OPTIONS, STORE_OPTIONS, withContext } from '../options/session.ts';

export const tagCommand: Command = {
  summary: 'Makes NAME stand for an image of the store, or renews names before they expire.',
  operands: ['[NAME]', '[IMAGE|DIGEST]'],
  options: {
    'reset-sequence': {
      type: 'boolean',
      help: 'replace an earlier record whose sequence is of the future; see docs/operations.md, Keys',
    },
    renew: {
      type: 'boolean',
      help: 'sign all names of the store that KEY has signed again, unless more than half of TIME is left',
    },
    ...STORE_OPTIONS,
    ...SIGN_OPTIONS,
    ...COMMON,
  },
  async run(args, signal) {
    if (args.flag('renew')) return renew(args, signal);
    if (args.operands.length < 2) throw new PanamaxError('usage', 'needs NAME and IMAGE|DIGEST, or --renew');
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
    const text = `${record.name} ${platform}: image ${target.config}, sequence ${sequence}`;
    printResult(args, record, `${text}${expiryOf(record)}`);
  },
};

function expiryOf({ expires }: NameRecord): string {
  return expires === undefined ? '' : `, expires at ${formatTime(expires)}`;
}

/** @throws PanamaxError `usage`; `partial` if a name was refused */
async function renew(args: Arguments, signal: AbortSignal): Promise<void> {
  if (args.operands.length > 0) throw new PanamaxError('usage', '--renew takes no operands');
  const { sign } = await readSigning(args);
  if (!sign || typeof sign.terms?.lifetime !== 'number') {
    throw new PanamaxError('usage', '--renew needs --sign KEY and --expires TIME');
  }
  const store = await openStore(args.text('store')!, { signal, mustExist: true });
  const renewals = await renewNames(store, sign, signal);
  const lines = renewals.map(
    ({ record, outcome, why }) =>
      `${record.name} ${record.platform}: ${outcome}${why === undefined ? expiryOf(record) : `: ${why}`}`,
  );
  printResult(args, { renewals }, lines.length > 0 ? lines.join('\n') : 'no names signed by this key');
  const refused = renewals.filter(({ outcome }) => outcome === 'refused');
  if (refused.length === 0) return;
  throw new PanamaxError('partial', 'names were not renewed', {
    expected: 'panamax tag NAME DIGEST, once you know that the image is the right one',
    found: refused.map(({ record }) => record.name).join(', '),
    where: store.where,
  });
}

async function manifestOf({ operands, platform, limits }: Arguments) {
  const [, image] = operands;
  if (isDigest(image)) return image;
  return (await openImage(await parseReference(image!), { ...platform, limits })).manifestDigest;
}
