import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { applyPatchFile } from '../delta/apply.ts';
import { layersDigest, verifyPatch, type ImageName } from '../delta/descriptor.ts';
import { openPatch } from '../delta/patch.ts';
import type { Engine, EngineImage } from '../engine/engine.ts';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import type { Limits } from '../limits.ts';
import type { Digest, Platform } from '../oci/descriptor.ts';
import { formatPlatform, machinePlatform } from '../oci/platform.ts';
import { formatReleaseName, parseReleaseName, type ReleaseName } from '../oci/releasename.ts';
import type { Destination } from '../oci/writer.ts';
import { createScratch } from '../scratch.ts';
import { nameStatement, readName } from '../store/name.ts';
import type { StoreReader } from '../store/store.ts';
import { readIndex, type PatchOffer } from '../store/targetindex.ts';
import type { Verify } from '../trust/key.ts';
import { acceptName } from './accepted.ts';
import { countBytes, type Counted } from './counted.ts';
import { download } from './download.ts';
import { checkNeed, needOf, type Need } from './need.ts';
import { claimPartial } from './partial.ts';
import { findResidents, type Resident } from './resident.ts';
import { findServers } from './servers.ts';

export interface PullTask {
  readonly name: ReleaseName;
  readonly platform?: Platform;
  /** References of images that the site has beside those of its engine. */
  readonly sources: readonly string[];
  /** Where the image goes where there is no engine. */
  readonly destination?: Destination;
  /** Whether the engine pulls the image itself where no patch does. */
  readonly fallback: boolean;
  /** Says what would be done, and does nothing. */
  readonly dryRun: boolean;
}

export interface Site {
  openStore(): Promise<StoreReader>;
  readonly engine?: Engine;
  /** What is kept from one start to the next. */
  readonly state: string;
  /** Below which a directory for this process is made. */
  readonly scratch: string;
  readonly limits: Limits;
  readonly signal: AbortSignal;
  readonly verify?: Verify;
  /** Told before anything is moved. */
  onPlan?(plan: Plan): void;
}

export interface Plan {
  readonly target: ImageName;
  /** For people. */
  readonly source: string;
  readonly offer: PatchOffer;
  readonly need: Need;
}

export interface PullOutcome {
  /** `none`: the image was there. `pull`: the engine has pulled it. In a dry run: what would be done. */
  readonly method: 'none' | 'patch' | 'pull';
  readonly target?: { readonly manifest: Digest; readonly config: Digest };
  readonly patch?: Plan;
  /** Bytes that came from the store. */
  readonly movedBytes: number;
  /** What a pull moves: at a site with this source, or, where there is none, at one with nothing. */
  readonly pullBytes?: number;
  /** Why patches were not used. */
  readonly reasons: readonly string[];
}

/**
 * Brings an image to a site: by the smallest patch from an image that is there, else by the engine's own pull. The
 * engine has the image in the end, under the name that was asked for, or what it had before.
 *
 * @throws PanamaxError `untrusted` where somebody meddles with names; without fallback `no-patch`, or why the last
 *   patch failed
 */
export async function pull(task: PullTask, site: Site): Promise<PullOutcome> {
  const known: Known = { reasons: [], moved: { bytes: 0 } };
  try {
    const outcome = await pullPatch(task, site, known);
    if (outcome) return outcome;
  } catch (error) {
    site.signal.throwIfAborted();
    known.failure = toPanamaxError(error);
    if (known.failure.kind === 'untrusted' || known.failure.kind === 'internal') throw known.failure;
    known.reasons.push(known.failure.message);
  }
  if (!task.fallback || !site.engine || task.destination) {
    throw known.failure ?? new PanamaxError('no-patch', `no patch: ${known.reasons.join('; ')}`);
  }
  const { target, pullSize, moved, reasons } = known;
  if (!task.dryRun) await enginePull(site.engine, task.name, reasons);
  return {
    method: 'pull',
    ...(target && { target: { manifest: target.manifest, config: target.config } }),
    movedBytes: moved.bytes,
    ...(pullSize !== undefined && { pullBytes: pullSize }),
    reasons,
  };
}

async function enginePull(engine: Engine, name: ReleaseName, reasons: readonly string[]): Promise<void> {
  try {
    await engine.pull(formatReleaseName(name));
  } catch (error) {
    const { kind, message } = toPanamaxError(error);
    throw new PanamaxError(kind, `${message}; before that: ${reasons.join('; ')}`, {}, { cause: error });
  }
}

/** What has come to be known on the way. */
interface Known {
  readonly reasons: string[];
  readonly moved: Counted;
  target?: ImageName | undefined;
  pullSize?: number;
  /** The last one. */
  failure?: PanamaxError;
}

/** @returns undefined where no patch fits or none could be applied; the reasons say why */
async function pullPatch(task: PullTask, site: Site, known: Known): Promise<PullOutcome | undefined> {
  const { engine, limits, signal } = site;
  const reader = countBytes(await site.openStore(), known.moved);
  const manifest = task.name.digest ?? (known.target = await resolveName(task, site, reader))?.manifest;
  if (!manifest) {
    known.reasons.push(`the store knows no ${formatReleaseName(task.name)}`);
    return undefined;
  }
  const index = await readIndex(reader, manifest);
  if (index && known.target) checkSame(known.target, index.target, reader.where);
  known.target = index?.target ?? known.target;
  if (index) known.pullSize = index.pullSize;
  const platform = task.platform && { platform: task.platform };
  const residents = await findResidents(engine, task.sources, { limits, ...platform });
  const { target } = known;
  const present = !task.destination && target && residents.find((image) => isImage(image, target));
  if (present) {
    if (!task.dryRun) await engine?.tag(present.config, engineName(task.name));
    return {
      method: 'none',
      target: named(target),
      movedBytes: known.moved.bytes,
      pullBytes: 0,
      reasons: [],
    };
  }
  if (!index) {
    known.reasons.push(`the store has no index of ${manifest}`);
    return undefined;
  }
  const offers = index.patches.flatMap((offer) => {
    const servers = findServers(offer, residents);
    return servers ? [{ offer, servers }] : [];
  });
  if (offers.length === 0) known.reasons.push(noneFits(index.patches.length, residents.length));
  for (const { offer, servers } of offers.toSorted((a, b) => a.offer.size - b.offer.size)) {
    const source = servers.map(({ label }) => label).join(' + ');
    const isExported = servers.some((server) => server.isExported);
    const plan: Plan = {
      target: index.target,
      source,
      offer,
      need: needOf(offer, index.target, isExported),
    };
    try {
      if (site.verify)
        verifyPatch({ ...offer, target: index.target, patch: offer }, site.verify, reader.where);
      await checkNeed(plan.need, site.scratch, site.state);
      if (!task.dryRun) {
        site.onPlan?.(plan);
        await applyOffer(plan, servers, task, site, reader);
      }
      return {
        method: 'patch',
        target: named(index.target),
        patch: plan,
        movedBytes: known.moved.bytes + (task.dryRun ? offer.size : 0),
        pullBytes: offer.pullSize,
        reasons: known.reasons,
      };
    } catch (error) {
      signal.throwIfAborted();
      known.failure = toPanamaxError(error);
      const { kind, message } = known.failure;
      if (kind === 'internal') throw known.failure;
      known.reasons.push(`patch from ${source}: ${message}`);
      // neither the disk nor the network gets better with another patch
      if (kind === 'io') break;
    }
  }
  return undefined;
}

/** What a tag stands for, as the store's owner says. */
async function resolveName(
  { name, platform, dryRun }: PullTask,
  { verify, state }: Site,
  reader: StoreReader,
): Promise<ImageName | undefined> {
  const record = await readName(reader, name, formatPlatform(platform ?? machinePlatform()));
  if (!record) return undefined;
  verify?.(nameStatement(record), record.signature, `${reader.where} ${record.name}`);
  await acceptName(state, record, { keep: !dryRun });
  return record.target;
}

async function applyOffer(
  { offer, target }: Plan,
  servers: readonly Resident[],
  { destination, name }: PullTask,
  { engine, limits, signal, state, scratch: parent }: Site,
  reader: StoreReader,
): Promise<void> {
  const partial = await claimPartial(join(state, 'partial'), offer.digest);
  try {
    await download(reader, offer, partial.path, signal);
    await checkPatch(partial.path, target, limits);
    await using scratch = await createScratch(parent);
    const sources: string[] = [];
    for (const server of servers) sources.push(await server.reference(scratch.path));
    const archive = join(scratch.path, 'target.tar');
    const output =
      destination ?? ({ transport: 'docker-archive', path: archive, name: engineName(name) } as const);
    const context = { scratch: scratch.path, limits, signal };
    await applyPatchFile({ patch: partial.path, sources, destination: output }, context);
    if (engine && !destination) {
      // the engine makes copies of its own: what is no longer needed makes room
      for (const name of await readdir(scratch.path)) {
        if (join(scratch.path, name) !== archive) await rm(join(scratch.path, name), { force: true });
      }
      await engine.load(archive);
      await checkLoaded(engine, target, engineName(name));
    }
    await partial.remove();
  } catch (error) {
    if (toPanamaxError(error).kind === 'bad-patch') await partial.remove();
    else await partial.release();
    throw error;
  }
}

/** Engines name by tag alone: an image that is asked for by digest gets one that says it. */
function engineName({ repository, tag, digest }: ReleaseName): string {
  return `${repository}:${tag ?? digest!.replace(':', '-')}`;
}

/** A manifest names its config, so one of the two has been meddled with. @throws PanamaxError `untrusted` */
function checkSame(named: ImageName, indexed: ImageName, where: string): void {
  if (named.config === indexed.config) return;
  const facts = { expected: named.config, found: indexed.config, where };
  throw new PanamaxError('untrusted', 'name and index differ in the image', facts);
}

/** Another image's patch may be sound in itself. @throws PanamaxError `bad-patch` */
async function checkPatch(path: string, { manifest, config }: ImageName, limits: Limits): Promise<void> {
  const patch = await openPatch(path, limits);
  const { target } = patch.format === 'xdelta' ? patch.recipe : patch.delta;
  if (target.manifest === manifest && target.config === config) return;
  throw new PanamaxError('bad-patch', 'patch of another image', {
    expected: `manifest ${manifest}, image ${config}`,
    found: `manifest ${target.manifest}, image ${target.config}`,
  });
}

function isImage({ config, manifests }: Pick<Resident, 'config' | 'manifests'>, target: ImageName): boolean {
  return config === target.config || manifests.includes(target.manifest);
}

/** Docker with containerd's image store makes a manifest of its own: there name and layers have to do. */
async function checkLoaded(engine: Engine, target: ImageName, name: string): Promise<void> {
  const isNamed = (other: string) => formatReleaseName(parseReleaseName(other)) === name;
  const isLoaded = (image: EngineImage) =>
    isImage(image, target) || (layersDigest(image.diffIDs) === target.layers && image.names.some(isNamed));
  if ((await engine.list()).some(isLoaded)) return;
  const facts = { expected: target.config, found: 'no such image', where: engine.transport };
  throw new PanamaxError('io', 'the engine has not taken the image', facts);
}

function named({ manifest, config }: ImageName): { manifest: Digest; config: Digest } {
  return { manifest, config };
}

function noneFits(patches: number, residents: number): string {
  return patches === 0
    ? 'the store has no patch to this image'
    : `none of ${patches} patches is from one of the ${residents} images that are here`;
}
