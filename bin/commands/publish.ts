import { publish, type Published } from '../../producers/publish.ts';
import { COMMON, operandCount, type Command } from '../command.ts';
import { formatSize, formatTable } from '../format.ts';
import { REGISTRY_OPTIONS } from '../registry.ts';
import { printResult, SIGN_OPTION, STORE_OPTION, withContext } from '../session.ts';

const USAGE = 'docker://NAME... [options]';

export const publishCommand: Command = {
  summary: 'Puts the patches that the store has to each image beside it in its registry.',
  usage: USAGE,
  options: { ...STORE_OPTION, ...SIGN_OPTION, ...REGISTRY_OPTIONS, ...COMMON },
  async run(args, signal) {
    operandCount(args, 1, Infinity, USAGE);
    await withContext(args, signal, async (context) => {
      const published: Published[] = [];
      for (const reference of args.operands) {
        published.push(await publish({ reference, ...args.platform }, context));
      }
      printResult(args, published, formatPublished(published));
    });
  },
};

export function formatPublished(published: readonly Published[]): string {
  const rows = published.flatMap(({ reference, patches }) =>
    patches.map(({ format, source, size, artifact }) => [
      reference,
      format,
      source,
      artifact,
      formatSize(size),
    ]),
  );
  return formatTable([['TARGET', 'FORMAT', 'SOURCE', 'ARTIFACT', 'PATCH'], ...rows], 4);
}
