import { PanamaxError } from '../../lib/errors.ts';
import { formatPlatform, machinePlatform } from '../../lib/image/oci/platform.ts';
import { parseReleaseName } from '../../lib/image/oci/releasename.ts';
import { checkFile } from '../../lib/image/write/destination.ts';
import { writeBundle } from '../../lib/store/bundle.ts';
import { openStoreReader } from '../../lib/store/objects/open.ts';
import { COMMON, pick, type Command } from '../command.ts';
import { formatCount, formatSize } from '../format.ts';
import { outputFile, printResult, STORE_OPTIONS } from '../options/session.ts';

export const bundleCommand: Command = {
  summary:
    'Writes what a site without a network needs for some names to one file, which pull and mirror take as a store.',
  operands: ['NAME...'],
  options: {
    output: outputFile('the file to write'),
    ...pick(STORE_OPTIONS, 'store'),
    ...pick(COMMON, 'json', 'platform', 'help'),
  },
  async run(args, signal) {
    const output = args.text('output')!;
    if (/^https?:|^s3:/.test(output))
      throw new PanamaxError('usage', '--output', { expected: 'FILE', found: output });
    const names = args.operands.map(parseReleaseName);
    await checkFile(output);
    const reader = await openStoreReader(args.text('store')!, signal);
    const platform = formatPlatform(args.platform.platform ?? machinePlatform());
    const bundled = await writeBundle(reader, names, platform, output, signal);
    const { images, patches, bytes } = bundled;
    const content = `${formatCount(images, 'image')}, ${formatCount(patches, 'patch', 'patches')}`;
    printResult(args, bundled, `${output}: ${content} of ${formatSize(bytes)}`);
  },
};
