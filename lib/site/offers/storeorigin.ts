import { verifyPatch, type ImageName } from '../../store/descriptor.ts';
import { PanamaxError } from '../../errors.ts';
import { formatPlatform, machinePlatform } from '../../image/oci/platform.ts';
import { formatReleaseName } from '../../image/oci/releasename.ts';
import { nameStatement, readName } from '../../store/name.ts';
import type { StoreReader } from '../../store/objects/store.ts';
import { readIndex, type PatchOffer, type TargetIndex } from '../../store/targetindex.ts';
import type { Verify } from '../../store/key.ts';
import { acceptName } from './accepted.ts';
import { download } from './download.ts';
import type { Answer, Offer, Origin } from './origin.ts';
import type { PullTask, Site } from '../pull.ts';

/** Patches of a store, where a name stands for what its owner says. */
export function storeOrigin(task: PullTask, site: Site, open: () => Promise<StoreReader>): Origin {
  return {
    label: 'the store',
    async ask(): Promise<Answer | string> {
      const reader = await open();
      const named = task.name.digest ? undefined : await resolveName(task, site, reader);
      const manifest = task.name.digest ?? named?.manifest;
      if (!manifest) return `the store knows no ${formatReleaseName(task.name)}`;
      const index = await readIndex(reader, manifest);
      if (!index) return named ? { target: named } : `the store has no index of ${manifest}`;
      if (named) checkSame(named, index.target, reader.where);
      return answerOf(index, reader);
    },
  };
}

function answerOf(index: TargetIndex, reader: StoreReader): Answer {
  const { manifest, config, layers, size } = index.target;
  const target = { manifest, config, layers, size };
  const offers = index.patches.map((offer) => offerOf(offer, target, reader));
  return { target, pullSize: index.pullSize, offers };
}

function offerOf(offer: PatchOffer, target: ImageName, reader: StoreReader): Offer {
  return {
    ...offer,
    async askSource() {
      const index = offer.source.images ? undefined : await readIndex(reader, offer.source.manifest);
      return index && answerOf(index, reader);
    },
    verify: (verify: Verify) => verifyPatch({ ...offer, target, patch: offer }, verify, reader.where),
    fetch: (path, _, signal) => download(reader, offer, path, signal),
  };
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

/** A manifest names its config, so one of the two has been meddled with. @throws PanamaxError `untrusted` */
function checkSame(named: ImageName, indexed: ImageName, where: string): void {
  if (named.config === indexed.config) return;
  const facts = { expected: named.config, found: indexed.config, where };
  throw new PanamaxError('untrusted', 'name and index differ in the image', facts);
}
