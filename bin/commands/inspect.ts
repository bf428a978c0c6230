import { PanamaxError } from '../../lib/errors.ts';
import type { Patch, PatchLayer } from '../../lib/delta/format.ts';
import { stat } from 'node:fs/promises';
import { formatOfFile, openPatch } from '../../lib/delta/patch.ts';
import type { Limits } from '../../lib/limits.ts';
import { canBeExact } from '../../lib/image/write/imageblobs.ts';
import { openImage } from '../../lib/image/open.ts';
import { formatPlatform } from '../../lib/image/oci/platform.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { statIfThere } from '../../lib/runtime/file.ts';
import { createScratch } from '../../lib/runtime/scratch.ts';
import { correctionSize } from '../../lib/compression/corrected/corrected.ts';
import type { Compression } from '../../lib/compression/recipe.ts';
import { COMMON, type Arguments, type Command } from '../command.ts';
import { formatSize, formatTable } from '../format.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { printResult, scratchParent } from '../options/session.ts';

export const inspectCommand: Command = {
  summary: 'Describes an image or a patch.',
  operands: ['IMAGE|PATCH'],
  options: { ...REGISTRY_OPTIONS, ...COMMON },
  async run(args) {
    const [operand] = args.operands;
    await ((await isPatch(operand!, args.limits))
      ? inspectPatch(args, operand!)
      : inspectImage(args, operand!));
  },
};

/** Whether a file is a patch. A file whose first bytes also fit an image archive is a patch if it reads as one. */
async function isPatch(operand: string, limits: Limits): Promise<boolean> {
  const info = await statIfThere(operand);
  if (!info?.isFile()) return false;
  const format = await formatOfFile(operand);
  if (!format?.traits.resemblesImage) return format !== undefined;
  return format.read(operand, limits).then(
    () => true,
    (error: unknown) => {
      if (error instanceof PanamaxError && error.kind === 'io') throw error;
      return false;
    },
  );
}

async function inspectPatch(args: Arguments, path: string): Promise<void> {
  const { format, source, target, layers } = await openPatch(path, args.limits);
  const { size } = await stat(path);
  const isExact = canBeExact({ layers });
  printResult(
    args,
    { kind: 'patch', format, size, source, target: { ...documentsOf(target), isExact, layers } },
    formatTable(
      [
        ['format', format],
        ['size', formatSize(size)],
        ['source', named(source)],
        ['target', named(target)],
        ['platform', target.platform],
        ['digest', isExact ? 'kept: manifest and compressed layers are rebuilt' : 'not kept'],
        ...layers.map((layer, i) => [`layer ${i}`, `${layer.diffID} ${describeLayer(layer)}`]),
      ],
      2,
    ),
  );
}

function named({ config, manifest }: Patch['source']): string {
  return `image ${config}, manifest ${manifest ?? 'unknown'}`;
}

function documentsOf(target: Patch['target']): object {
  const { manifest, config, platform } = target;
  const manifestDocument = String(target.manifestDocument);
  return { manifest, manifestDocument, config, configDocument: String(target.configDocument), platform };
}

function describeLayer(layer: PatchLayer): string {
  const { size, compression, digest, diffID, kind } = layer;
  if (size === undefined) return kind ?? 'of unknown size';
  // images exported from an engine do not have the compressed layers of a registry
  const unknown = digest === diffID ? 'read uncompressed' : 'compressed by an unknown encoder';
  return `${formatSize(size)} ${compression ? describeCompression(compression) : unknown}`;
}

function describeCompression(compression: Compression): string {
  if (compression.encoder === 'none') return 'uncompressed';
  if (compression.encoder === 'corrected') {
    return `compressed by an unknown encoder, with a correction of ${formatSize(correctionSize(compression))}`;
  }
  const version = compression.encoder === 'libzstd' ? ` ${compression.version}` : '';
  return `compressed by ${compression.encoder}${version} -${compression.level}`;
}

async function inspectImage(args: Arguments, operand: string): Promise<void> {
  await using scratch = await createScratch(scratchParent(args));
  const image = await openImage(await parseReference(operand), {
    ...args.platform,
    limits: args.limits,
    scratch: scratch.path,
  });
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
