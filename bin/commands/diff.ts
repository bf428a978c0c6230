import type { DeltaResult } from '../../lib/delta/task.ts';
import { createReadStream } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Effort } from '../../lib/delta/align/alignment.ts';
import {
  imageIdentity,
  serializePatchDescriptor,
  signDescriptor,
  sourceIdentity,
  type PatchDescriptor,
} from '../../lib/store/descriptor.ts';
import { descriptorBeside } from '../../lib/store/signed.ts';
import { PanamaxError } from '../../lib/errors.ts';
import { replaceFile } from '../../lib/runtime/file.ts';
import { checkFile } from '../../lib/image/write/destination.ts';
import { canBeExact } from '../../lib/image/write/imageblobs.ts';
import { pullSize } from '../../lib/image/record.ts';
import { createScratch } from '../../lib/runtime/scratch.ts';
import { deltaThread } from '../../lib/delta/threads.ts';
import { runThread } from '../../lib/runtime/thread.ts';
import { COMMON, type Command } from '../command.ts';
import { DELTA_OPTIONS, FORMAT_OPTION, parseEffort, parseFormats } from '../options/delta.ts';
import { formatShare, formatSize } from '../format.ts';
import { createSteps, progressMode, PROGRESS_OPTIONS } from '../progress.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { outputFile, printResult, readSigning, scratchParent, SIGN_OPTIONS } from '../options/session.ts';

export const diffCommand: Command = {
  summary: 'Makes the patch that turns image OLD into image NEW.',
  operands: ['OLD', 'NEW'],
  options: {
    output: outputFile('file to write the patch to; - is standard output'),
    ...DELTA_OPTIONS,
    ...FORMAT_OPTION,
    sign: {
      ...SIGN_OPTIONS['sign']!,
      help: 'sign the patch with a private key made by keygen, in FILE.json beside it',
    },
    ...PROGRESS_OPTIONS,
    ...REGISTRY_OPTIONS,
    ...COMMON,
  },
  async run(args, signal) {
    const output = args.text('output')!;
    const formats = parseFormats(args);
    if (formats.length > 1)
      throw new PanamaxError('usage', 'a patch file has one format', {
        found: `--format ${args.text('format')!}`,
      });
    const { sign } = await readSigning(args);
    const isPiped = output === '-';
    if (isPiped && (sign || args.flag('json'))) {
      throw new PanamaxError('usage', '-o - goes without --sign and --json');
    }
    if (!isPiped) await checkFile(output);
    if (sign) await checkFile(descriptorBeside(output));
    const [old, target] = args.operands;
    const mode = progressMode(args);
    // standard error then has one document or none
    const showStep = createSteps(args.flag('json') && mode === 'plain' ? 'quiet' : mode);
    await using scratch = await createScratch(scratchParent(args));
    const result = await runThread(
      deltaThread,
      {
        source: { reference: old!, ...args.platform },
        target: { reference: target!, ...args.platform },
        formats,
        effort: parseEffort(args),
        limits: args.limits,
        scratch: scratch.path,
      },
      signal,
      undefined,
      showStep,
    );
    showStep();
    const { path, ...patch } = result.patches[0]!;
    if (isPiped) await pipeline(createReadStream(path), process.stdout, { end: false });
    else await replaceFile(output, (part) => copyFile(path, part));
    const pull = pullSize(result.target, result.source);
    if (sign) await putDescriptor(output, signDescriptor(descriptorOf(result, parseEffort(args)), sign));
    const isExact = canBeExact(result.target);
    // the whole command, as a user waits for it
    const seconds = process.uptime();
    const text =
      `${output}: ${formatSize(patch.size)}, ${formatShare(patch.size, pull)} of the ${formatSize(pull)} that a pull moves, ` +
      `in ${seconds.toFixed(1)} s` +
      (isExact ? '' : '; the rebuilt image will have another manifest digest');
    if (isPiped) {
      process.stderr.write(`${text}\n`);
      return;
    }
    printResult(
      args,
      {
        ...patch,
        seconds,
        pullSize: pull,
        source: result.source.manifest,
        target: result.target.manifest,
        isExact,
      },
      text,
    );
  },
};

function descriptorOf({ source, target, patches }: DeltaResult, effort: Effort): PatchDescriptor {
  const { format, size, digest } = patches[0]!;
  return {
    format,
    effort,
    source: sourceIdentity(source),
    target: imageIdentity(target),
    patch: { size, digest },
    sizes: { predicted: size, actual: size, pull: pullSize(target, source) },
  };
}

async function putDescriptor(patch: string, descriptor: PatchDescriptor): Promise<void> {
  await replaceFile(descriptorBeside(patch), (part) => writeFile(part, serializePatchDescriptor(descriptor)));
}
