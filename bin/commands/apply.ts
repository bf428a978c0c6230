import { checkDestination, parseDestination } from '../../lib/image/write/destination.ts';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { PanamaxError } from '../../lib/errors.ts';
import { limitMemory } from '../../lib/runtime/footprint.ts';
import { applyPatchFile } from '../../lib/delta/apply.ts';
import { descriptorBeside, verifyPatchFile } from '../../lib/store/signed.ts';
import { formatReference } from '../../lib/image/oci/reference.ts';
import { imageSink, keepsManifest, type ImageSink } from '../../lib/image/write/sink.ts';
import { createScratch } from '../../lib/runtime/scratch.ts';
import { readVerifyKeys } from '../../lib/store/key.ts';
import { COMMON, type Command } from '../command.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { createMeter, metered } from '../meter.ts';
import { progressMode, PROGRESS_OPTIONS } from '../progress.ts';
import { printResult, scratchParent, SITE_OPTIONS } from '../options/session.ts';

/** Transports whose image can go to standard output, as FILE `-`. */
const PIPED: readonly string[] = ['docker-archive', 'oci-archive', 'stream'];

export const applyCommand: Command = {
  summary: "Rebuilds a patch's target image from its source image.",
  operands: ['PATCH'],
  options: {
    source: {
      type: 'string',
      short: 's',
      multiple: true,
      value: 'IMAGE',
      required: true,
      help: "the patch's source image, or several images that together have its layers, or stream:FILE",
    },
    output: {
      type: 'string',
      short: 'o',
      value: 'IMAGE',
      required: true,
      help: 'oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG], docker-daemon:NAME, containers-storage:NAME, containerd:NAME or stream:FILE; FILE - is standard output',
    },
    ...SITE_OPTIONS,
    descriptor: {
      type: 'string',
      value: 'FILE',
      help: "file with the patch's signature (default: PATCH.json, as in the store and from diff --sign)",
    },
    ...PROGRESS_OPTIONS,
    ...REGISTRY_OPTIONS,
    ...COMMON,
  },
  async run(args, signal) {
    limitMemory();
    const [patch] = args.operands;
    const sources = args.list('source');
    const output = args.text('output')!;
    const wanted = parseDestination(output);
    const isPiped = PIPED.includes(wanted.transport) && wanted.path === '-';
    if (isPiped && args.flag('json')) throw new PanamaxError('usage', `${output} goes without --json`);
    const isPlain = args.flag('uncompressed');
    const mode = progressMode(args);
    const { size } = await stat(patch!).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
      throw new PanamaxError('not-found', 'no such patch', { found: patch! });
    });
    if (!isPiped) await checkDestination(wanted, signal);
    const keys = args.list('verify-key');
    if (keys.length > 0) {
      const descriptor = args.text('descriptor') ?? descriptorBeside(patch!);
      await verifyPatchFile(patch!, descriptor, await readVerifyKeys(keys), args.limits);
    }
    await using scratch = await createScratch(scratchParent(args));
    // standard output gets the file once it is complete
    const destination = isPiped ? { ...wanted, path: join(scratch.path, 'output') } : wanted;
    const write = imageSink(destination, { isPlain, scratch: scratch.path, signal });
    const sink: ImageSink = (image, stream) => {
      const total = image.layers.reduce((sum, layer) => sum + layer.size, 0);
      return write(image, metered(stream, createMeter('rebuild', total, mode)));
    };
    const target = await applyPatchFile(
      { patch: patch!, sources, sink, ...args.platform },
      { scratch: scratch.path, limits: args.limits, signal },
    );
    if (isPiped) await pipeline(createReadStream(destination.path), process.stdout, { end: false });
    const isExact = !isPlain && keepsManifest(target, destination);
    const text =
      wanted.transport === 'stream'
        ? `${wanted.path}: layer stream of image ${target.config}`
        : `${formatReference({ ...wanted, transport: wanted.transport })}: image ${target.config}${isExact ? `, manifest ${target.manifest}` : ''}`;
    if (isPiped) {
      process.stderr.write(`${text}\n`);
      return;
    }
    printResult(
      args,
      {
        image: target.config,
        manifest: isExact ? target.manifest : null,
        platform: target.platform,
        output,
        patchSize: size,
      },
      text,
    );
  },
};
