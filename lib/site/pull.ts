import type { Digest } from '../digest.ts';
import { layersDigest, type ImageName } from '../store/descriptor.ts';
import type { Engine, EngineImage } from '../image/engine/engine.ts';
import { PanamaxError, toPanamaxError, type ErrorKind } from '../errors.ts';
import type { Limits } from '../limits.ts';
import type { Platform } from '../image/oci/descriptor.ts';
import { checkDestination, type Destination } from '../image/write/destination.ts';
import type { ReleaseName } from '../image/oci/releasename.ts';
import type { SourceHint } from '../store/beside/patches.ts';
import type { Repository } from '../image/registry/registry.ts';
import type { StoreReader } from '../store/objects/store.ts';
import type { Verify } from '../store/key.ts';
import { countBytes, type Counted } from './offers/counted.ts';
import { directChains, findChain, type Link } from './choice/chain.ts';
import { checkNeed, needOfChain, type Need } from './choice/requirements.ts';
import { engineName, install, isImage } from './install.ts';
import type { Answer, Offer, Origin } from './offers/origin.ts';
import { registryOrigin } from './offers/registryorigin.ts';
import { findResidents, type Resident } from './choice/resident.ts';
import { storeOrigin } from './offers/storeorigin.ts';
import { pullsItself, pullWhole } from './whole.ts';

export interface PullTask {
  readonly name: ReleaseName;
  readonly platform?: Platform;
  /** References of images that the site has beside those of its engine. */
  readonly sources: readonly string[];
  /** Where the image goes where there is no engine. */
  readonly destination?: Destination;
  /** Whether the engine pulls the image itself where no patch does. */
  readonly fallback: boolean;
  /** Layers uncompressed, also where the manifest digest could be kept: takes less time. */
  readonly isPlain?: boolean;
  /** Says what would be done, and does nothing. */
  readonly dryRun: boolean;
}

export interface Site {
  /** Undefined where patches are beside their images alone. */
  readonly openStore?: () => Promise<StoreReader>;
  /** The name's repository. Undefined for a name that no registry can have. */
  readonly openRegistry?: (onBytes: (count: number) => void) => Repository;
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
  /** The patch that builds the target. */
  readonly offer: Offer;
  /** Those that have to be applied before it, in their order: its source is not here, but can be built. */
  readonly before: readonly Link[];
  /** Of all patches, in bytes. */
  readonly size: number;
  readonly need: Need;
}

export interface PullOutcome {
  /** `none`: the image was there. `pull`: the engine has pulled it. In a dry run: what would be done. */
  readonly method: 'none' | 'patch' | 'pull';
  readonly target?: { readonly manifest: Digest; readonly config: Digest };
  readonly patch?: Plan;
  /** Whether what a patch has brought has its manifest digest there, too. */
  readonly keepsManifest?: boolean;
  /** Bytes that came from the store or, of documents and patches, the registry. */
  readonly movedBytes: number;
  /** What a pull moves: at a site with this source, or, where there is none, at one with nothing. */
  readonly pullBytes?: number;
  /** Of a pull by the engine itself, which is not in `movedBytes`, in bytes. Undefined where nobody knows. */
  readonly enginePull?: EnginePull;
  /** Why patches were not used. */
  readonly reasons: readonly string[];
}

/** Engines do not say what they move. */
export interface EnginePull {
  /** The image's layers, compressed. */
  readonly most: number;
  /** Those of them that no image there had before. An engine may fetch more: it knows not all layers by their content. */
  readonly lacking?: number;
}

/** What another patch, or one from another source, may do better. Disks, networks and engines get no better with it. */
const NEXT: readonly ErrorKind[] = [
  'bad-patch',
  'not-found',
  'untrusted',
  'wrong-source',
  'bad-input',
  'limit',
];

/**
 * Brings an image to a site: by the smallest patch from an image that is there, else by the engine's own pull. The
 * engine has the image in the end, under the name that was asked for, or what it had before.
 *
 * @throws PanamaxError `untrusted` where somebody meddles with names; without fallback `no-patch`, or why the last
 *   patch failed; `io` where the engine cannot be asked, `io` or `not-found` where the destination cannot be written
 *   to, both also in a dry run
 */
export async function pull(task: PullTask, site: Site): Promise<PullOutcome> {
  if (task.destination) await checkDestination(task.destination, site.signal);
  const engine = site.engine && askedOnce(site.engine);
  const known: Known = { ...(engine && { engine }), reasons: [], moved: { bytes: 0 } };
  for (const origin of originsOf(task, site, known)) {
    try {
      const outcome = await pullPatch(task, site, origin, known);
      if (outcome) return outcome;
      if (known.isSiteAtFault) break;
    } catch (error) {
      site.signal.throwIfAborted();
      known.failure = toPanamaxError(error);
      if (known.failure.kind === 'untrusted' || known.failure.kind === 'internal') throw known.failure;
      const { message } = known.failure;
      // the engine may be what fails, for each
      if (!known.reasons.includes(message)) known.reasons.push(message);
    }
  }
  if (!task.fallback || !site.engine || task.destination) {
    throw known.failure ?? new PanamaxError('no-patch', `no patch: ${known.reasons.join('; ')}`);
  }
  // an engine that does not answer pulls nothing, and is not worth a copy
  if (!known.residents && (task.dryRun || site.engine.transport === 'containerd')) await engine?.list();
  const { target, pullSize, lacking, moved, reasons } = known;
  if (!task.dryRun) {
    const trusted = site.verify && target?.manifest;
    await pullWhole(task, trusted, { ...site, engine: site.engine }, (count) => (moved.bytes += count)).catch(
      (error: unknown) => {
        site.signal.throwIfAborted();
        const { kind, message } = toPanamaxError(error);
        throw new PanamaxError(kind, `${message}; before that: ${reasons.join('; ')}`, {}, { cause: error });
      },
    );
  }
  return {
    method: 'pull',
    ...(target && { target: { manifest: target.manifest, config: target.config } }),
    movedBytes: moved.bytes,
    ...(pullSize !== undefined && { pullBytes: pullSize }),
    ...(pullSize !== undefined &&
      pullsItself(site) && { enginePull: { most: pullSize, ...(lacking !== undefined && { lacking }) } }),
    reasons,
  };
}

/** Is asked once which images it has: one that does not answer takes its time to say so. */
function askedOnce(engine: Engine): Engine {
  let answer: Promise<readonly EngineImage[]> | undefined;
  return { ...engine, list: () => (answer ??= engine.list()) };
}

/**
 * The store, and the registry where there is none, or where the next thing would be a pull from it: a site without
 * a network does not wait for one.
 */
function originsOf(task: PullTask, site: Site, known: Known): Origin[] {
  const origins: Origin[] = [];
  const { openStore, openRegistry, engine } = site;
  if (openStore) {
    origins.push(storeOrigin(task, site, async () => countBytes(await openStore(), known.moved)));
  }
  if (openRegistry && (!openStore || (task.fallback && engine && !task.destination))) {
    const repository = openRegistry((count) => (known.moved.bytes += count));
    const isWanted = ({ config, layers }: SourceHint) =>
      config === undefined ||
      (known.residents ?? []).some(
        (image) => image.config === config || layersDigest(image.diffIDs) === layers,
      );
    origins.push(registryOrigin(task, site, repository, () => known.target?.manifest, isWanted));
  }
  return origins;
}

/** What has come to be known on the way. */
interface Known {
  readonly engine?: Engine;
  readonly reasons: string[];
  readonly moved: Counted;
  residents?: readonly Resident[];
  target?: ImageName | undefined;
  pullSize?: number;
  /** Of that, layers that no resident has. */
  lacking?: number;
  /** The last one. */
  failure?: PanamaxError;
  /** A patch was there, sound and whole, and could not be put to use: no other place has a better one. */
  isSiteAtFault?: boolean;
}

/** @returns undefined where no patch fits or none could be applied; the reasons say why */
async function pullPatch(
  task: PullTask,
  site: Site,
  origin: Origin,
  known: Known,
): Promise<PullOutcome | undefined> {
  const { engine, limits, signal } = site;
  const platform = task.platform && { platform: task.platform };
  const residents = (known.residents ??= await findResidents(known.engine, task.sources, {
    limits,
    ...platform,
  }));
  const answer = await origin.ask();
  if (typeof answer === 'string') {
    known.reasons.push(answer);
    return undefined;
  }
  const { target } = answer;
  known.target = target;
  if (answer.pullSize !== undefined) known.pullSize = answer.pullSize;
  if (answer.layers) known.lacking = lackingOf(answer.layers, residents);
  const present = !task.destination && residents.find((image) => isImage(image, target));
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
  if (!answer.offers) {
    known.reasons.push(`${origin.label} has no index of ${target.manifest}`);
    return undefined;
  }
  const direct = directChains(answer, residents);
  const least = Math.min(answer.pullSize ?? Infinity, ...direct.map(({ size }) => size));
  const through = await findChain(answer, residents, least).catch((error: unknown) => {
    signal.throwIfAborted();
    // what can be done without goes on
    known.reasons.push(`looking for patches behind one another: ${toPanamaxError(error).message}`);
    return undefined;
  });
  const chains = [...(through ? [through] : []), ...direct].toSorted((a, b) => a.size - b.size);
  if (chains.length === 0) known.reasons.push(noneFits(origin.label, answer.offers.length, residents.length));
  for (const { links, servers, size } of chains) {
    const { offer } = links.at(-1)!;
    const source = servers.map(({ label }) => label).join(' + ');
    const need = needOfChain(
      links,
      servers.some((server) => server.isExported),
    );
    const plan: Plan = { target, source, offer, before: links.slice(0, -1), size, need };
    let isExact = false;
    let isFetched = false;
    try {
      if (site.verify) for (const link of links) link.offer.verify(site.verify);
      await checkNeed(plan.need, site.scratch, site.state);
      if (!task.dryRun) {
        site.onPlan?.(plan);
        isExact = await install(plan, servers, task, site, () => (isFetched = true));
      }
      return {
        method: 'patch',
        target: named(target),
        patch: plan,
        ...(!task.dryRun && { keepsManifest: isExact }),
        movedBytes: known.moved.bytes + (task.dryRun ? size : 0),
        pullBytes: offer.pullSize,
        reasons: known.reasons,
      };
    } catch (error) {
      signal.throwIfAborted();
      known.failure = toPanamaxError(error);
      const { kind, message } = known.failure;
      if (kind === 'internal') throw known.failure;
      known.reasons.push(`patch from ${source}: ${message}`);
      known.isSiteAtFault = isFetched && !NEXT.includes(kind);
      if (!NEXT.includes(kind)) break;
    }
  }
  return undefined;
}

function lackingOf(layers: NonNullable<Answer['layers']>, residents: readonly Resident[]): number {
  const there = new Set(residents.flatMap(({ diffIDs }) => diffIDs));
  const lacking = new Map(
    layers.filter(({ diffID }) => !there.has(diffID)).map(({ diffID, size }) => [diffID, size]),
  );
  return lacking.values().reduce((sum, size) => sum + size, 0);
}

function named({ manifest, config }: ImageName): { manifest: Digest; config: Digest } {
  return { manifest, config };
}

function noneFits(where: string, patches: number, residents: number): string {
  return patches === 0
    ? `${where} has no patch to this image from one of the ${residents} images that are here`
    : `none of ${patches} patches is from one of the ${residents} images that are here`;
}
