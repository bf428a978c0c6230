import { open, stat } from 'node:fs/promises';
import { readPatch } from '../../lib/delta/patch.ts';
import { openImage } from '../../lib/oci/image.ts';
import { formatPlatform } from '../../lib/oci/platform.ts';
import { pullSize, streamSize } from '../../lib/oci/record.ts';
import { parseReference } from '../../lib/oci/reference.ts';
import { COMMON, operandCount, type Arguments, type Command } from '../command.ts';
import { formatSize, formatTable } from '../format.ts';
import { printResult } from '../session.ts';

const USAGE = 'IMAGE|PATCH [options]';
const VCDIFF_MAGIC = 'd6c3c4';

export const inspectCommand: Command = {
  summary: 'Tells what an image or a patch is.',
  usage: USAGE,
  options: COMMON,
  async run(args) {
    operandCount(args, 1, 1, USAGE);
    const [operand] = args.operands;
    await ((await isPatch(operand!)) ? inspectPatch(args, operand!) : inspectImage(args, operand!));
  },
};

async function isPatch(path: string): Promise<boolean> {
  const info = await stat(path).catch(() => undefined);
  if (!info?.isFile()) return false;
  await using file = await open(path);
  const { buffer } = await file.read(Buffer.alloc(3), 0, 3, 0);
  return buffer.toString('hex') === VCDIFF_MAGIC;
}

async function inspectPatch(args: Arguments, path: string): Promise<void> {
  const { source, target } = await readPatch(path);
  const { size } = await stat(path);
  printResult(
    args,
    { kind: 'patch', format: 'xdelta', size, source, target },
    formatTable(
      [
        ['format', 'xdelta'],
        ['size', formatSize(size)],
        ['source', `image ${source.config}, manifest ${source.manifest}`],
        ['target', `image ${target.config}, manifest ${target.manifest}`],
        ['platform', target.platform],
        [
          'target size',
          `${formatSize(streamSize(target))} uncompressed, ${formatSize(pullSize(target))} to pull`,
        ],
        ...target.layers.map(({ diffID, size }, i) => [`layer ${i}`, `${diffID} ${formatSize(size)}`]),
      ],
      2,
    ),
  );
}

async function inspectImage(args: Arguments, operand: string): Promise<void> {
  const image = await openImage(await parseReference(operand), { ...args.platform, limits: args.limits });
  const layers = image.layers.map(({ descriptor, diffID }) => ({ ...descriptor, diffID }));
  const platform = formatPlatform(image.platform);
  const { reference, manifestDigest, configDigest } = image;
  printResult(
    args,
    { kind: 'image', reference, manifest: manifestDigest, config: configDigest, platform, layers },
    formatTable(
      [
        ['image', reference],
        ['manifest', manifestDigest],
        ['image ID', configDigest],
        ['platform', platform],
        ...layers.map(({ diffID, size, mediaType }, i) => [
          `layer ${i}`,
          `${diffID} ${formatSize(size)} ${mediaType}`,
        ]),
      ],
      2,
    ),
  );
}
