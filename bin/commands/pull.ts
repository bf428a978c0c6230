import { checkDestination, parseDestination } from '../../lib/image/write/destination.ts';
import { openEngine, parseEngineTransport } from '../../lib/image/engine/open.ts';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { PanamaxError } from '../../lib/errors.ts';
import { limitMemory } from '../../lib/runtime/footprint.ts';
import { formatReleaseName, parseReleaseName } from '../../lib/image/oci/releasename.ts';
import { type Engine } from '../../lib/image/engine/engine.ts';
import type { PullPlan } from '../../lib/site/choice/plan.ts';
import { pull } from '../../lib/site/pull.ts';
import type { PullOutcome } from '../../lib/site/site.ts';
import { parseRegistryName } from '../../lib/image/oci/registryname.ts';
import { openRepository } from '../../lib/image/registry/registry.ts';
import { readCosignKeys } from '../../lib/store/attached/cosign.ts';
import { openStoreReader } from '../../lib/store/objects/open.ts';
import { COMMON, type Arguments, type Command } from '../command.ts';
import { formatShare, formatSize } from '../format.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { createMeter, type Meter } from '../meter.ts';
import { progressMode, PROGRESS_OPTIONS } from '../progress.ts';
import { printResult, readTrust, scratchParent, SITE_OPTIONS, TRUST_OPTIONS } from '../options/session.ts';

export const pullCommand: Command = {
  summary: 'Brings an image to the engine of a site, by the smallest patch from an image that the site has.',
  operands: ['NAME'],
  options: {
    store: {
      type: 'string',
      value: 'STORE',
      env: true,
      help: 'http[s]://HOST/PATH, s3://BUCKET[/PREFIX], a directory or a bundle (default: patches beside the image in its registry)',
    },
    engine: {
      type: 'string',
      value: 'ENGINE',
      help: 'docker, podman, containerd, or none',
      default: 'docker',
      choices: ['docker', 'podman', 'containerd', 'none'],
      env: true,
    },
    source: {
      type: 'string',
      short: 's',
      multiple: true,
      value: 'IMAGE',
      help: 'another image at the site, in addition to those of the engine',
    },
    output: {
      type: 'string',
      short: 'o',
      value: 'IMAGE',
      help: 'write the image to this destination instead of loading it',
    },
    ...SITE_OPTIONS,
    ...TRUST_OPTIONS,
    'cosign-key': {
      type: 'string',
      multiple: true,
      takesOne: true,
      value: 'PUB',
      help: 'accept only images that one of these keys has signed with cosign',
    },
    referrers: {
      type: 'string',
      value: 'DIR',
      help: "write the image's signatures and other artifacts to this OCI layout (default: that of --output oci:DIR)",
    },
    'dry-run': { type: 'boolean', help: 'print the plan and change nothing' },
    'no-fallback': { type: 'boolean', help: 'fail if no patch can be used, instead of a pull by the engine' },
    'allow-unsigned-pull': {
      type: 'boolean',
      help: 'although --verify-key is given, let the engine pull a name that has no record',
    },
    state: {
      type: 'string',
      value: 'DIR',
      env: true,
      help: 'keeps unfinished downloads and accepted names (default: below XDG_STATE_HOME)',
    },
    ...PROGRESS_OPTIONS,
    ...REGISTRY_OPTIONS,
    ...COMMON,
  },
  async run(args, signal) {
    limitMemory();
    const store = args.text('store');
    const name = parseReleaseName(args.operands[0]!);
    const output = args.text('output');
    const trust = await readTrust(args);
    const engine = engineOf(args, signal);
    if (!engine && output === undefined) {
      throw new PanamaxError('usage', 'needs --output IMAGE without an engine');
    }
    const cosignKeys = args.list('cosign-key');
    const verifyCosign = cosignKeys.length > 0 ? { verifyCosign: await readCosignKeys(cosignKeys) } : {};
    const destination = output === undefined ? undefined : parseDestination(output);
    const attachTo =
      args.text('referrers') ?? (destination?.transport === 'oci' ? destination.path : undefined);
    if (attachTo !== undefined) await checkDestination({ transport: 'oci', path: attachTo }, signal);
    const task = {
      name,
      ...args.platform,
      sources: args.list('source'),
      ...(destination && { destination }),
      ...(attachTo !== undefined && { attachTo }),
      fallback: !args.flag('no-fallback'),
      allowUnsigned: args.flag('allow-unsigned-pull'),
      dryRun: args.flag('dry-run'),
      isPlain: args.flag('uncompressed'),
    };
    const mode = progressMode(args);
    let meter: Meter | undefined;
    const outcome = await pull(task, {
      ...(store !== undefined && { openStore: () => openStoreReader(store, signal) }),
      openRegistry: (onBytes) =>
        openRepository(parseRegistryName(name.repository), { limits: args.limits, signal, onBytes }),
      ...(engine && { engine }),
      state: args.text('state') ?? stateDirectory(),
      scratch: scratchParent(args),
      limits: args.limits,
      signal,
      ...trust,
      ...verifyCosign,
      onPlan(plan) {
        process.stderr.write(`panamax pull: ${formatPlan(plan)}\n`);
        meter?.end();
        meter = task.dryRun ? undefined : createMeter('download', plan.size, mode);
      },
      onBytes: (count) => meter?.add(count),
    }).finally(() => meter?.end());
    printResult(
      args,
      { name: formatReleaseName(name), ...outcome, dryRun: task.dryRun },
      formatOutcome(args, outcome),
    );
  },
};

function engineOf(args: Arguments, signal: AbortSignal): Engine | undefined {
  const engine = args.text('engine')!;
  return engine === 'none' ? undefined : openEngine(parseEngineTransport(engine), { signal });
}

function stateDirectory(): string {
  return join(process.env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'panamax');
}

function formatPlan({ offer, before, size, source, need }: PullPlan): string {
  const pull = `${formatShare(size, offer.pullSize)} of the ${formatSize(offer.pullSize)} that a pull moves`;
  const disk = `${formatSize(need.scratch + need.state)} of disk`;
  const patches = before.length > 0 ? `${before.length + 1} patches, one after the other,` : 'patch';
  return `${patches} of ${formatSize(size)} from ${source}, ${pull}; needs ${disk} and ${formatSize(need.memory)} of memory`;
}

function formatOutcome(args: Arguments, outcome: PullOutcome): string {
  const { method, target, patch, keepsManifest, movedBytes, pullBytes, reasons } = outcome;
  const [name] = args.operands;
  const manifest = keepsManifest ? `, manifest ${target!.manifest}` : '';
  const image = target ? ` (image ${target.config}${manifest})` : '';
  const why = reasons.map((reason) => `\n  ${reason}`).join('');
  const would = args.flag('dry-run');
  if (method === 'none') return `${name}: is there${image}`;
  if (method === 'pull') {
    return `${name}: ${would ? 'to be pulled' : 'pulled'} by the engine${image}: ${formatPull(outcome, would)}${why}`;
  }
  if (would) return `${name}: ${formatPlan(patch!)}${why}`;
  const share = `${formatShare(movedBytes, pullBytes!)} of the ${formatSize(pullBytes!)} that a pull moves`;
  return `${name}${image}: moved ${formatSize(movedBytes)}, ${share}${why}`;
}

/** The bytes that a pull by the engine moves, as far as known. */
function formatPull({ movedBytes, pullBytes, enginePull }: PullOutcome, would: boolean): string {
  if (enginePull) {
    const { most, lacking } = enginePull;
    const layers =
      lacking === undefined ? '' : `, ${formatSize(lacking)} in layers that it ${would ? 'lacks' : 'lacked'}`;
    return `at most ${formatSize(most)}${layers}; ${formatSize(movedBytes)} moved before`;
  }
  if (pullBytes === undefined)
    return `how much it moves is not known; ${formatSize(movedBytes)} moved before`;
  return would ? `${formatSize(pullBytes)} of layers` : `moved ${formatSize(movedBytes)}`;
}
