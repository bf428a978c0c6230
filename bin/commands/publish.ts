import { PanamaxError } from '../../lib/errors.ts';
import { publish, type Published } from '../../workers/publish/publish.ts';
import { spelledOut } from '../../producers/question/references.ts';
import { COMMON, type Command } from '../command.ts';
import { formatSize, formatTable } from '../format.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { printResult, SIGN_OPTIONS, STORE_OPTIONS, withContext } from '../options/session.ts';

export const publishCommand: Command = {
  summary: 'Publishes the patches to each image beside the image in its registry.',
  operands: ['IMAGE...'],
  options: {
    recipes: {
      type: 'boolean',
      help: 'publish how the layers were compressed, too, for sites that have them in another compression',
    },
    ...STORE_OPTIONS,
    ...SIGN_OPTIONS,
    ...REGISTRY_OPTIONS,
    ...COMMON,
  },
  async run(args, signal) {
    await withContext(args, signal, async (context) => {
      const published: Published[] = [];
      for (const reference of args.operands.map(spelledOut)) {
        published.push(
          await publish({ reference, ...args.platform, hasRecipes: args.flag('recipes') }, context),
        );
      }
      printResult(args, { published }, formatPublished(published));
      const none = published.filter(({ patches, name }) => patches.length === 0 && !name);
      if (none.length > 0) {
        throw new PanamaxError('not-found', 'no patches to publish', {
          expected: `patches to it, in ${context.store.where}`,
          found: 'none',
          where: none.map(({ reference }) => reference).join(', '),
        });
      }
    });
  },
};

function formatPublished(published: readonly Published[]): string {
  const rows = published.flatMap(({ reference, patches }) =>
    patches.map(({ format, source, size, artifact }) => [
      reference,
      format,
      source,
      artifact,
      formatSize(size),
    ]),
  );
  const lines = published
    .filter(({ patches }) => patches.length === 0)
    .map(({ reference, name }) => `${reference}: no patches${name ? '; its name record was published' : ''}`);
  if (rows.length > 0)
    lines.unshift(formatTable([['TARGET', 'FORMAT', 'SOURCE', 'ARTIFACT', 'PATCH'], ...rows], 4));
  return lines.join('\n');
}
