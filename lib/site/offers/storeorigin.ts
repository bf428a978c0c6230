import { verifyPatch, type ImageIdentity } from '../../store/descriptor.ts';
import { PanamaxError } from '../../errors.ts';
import { formatPlatform, machinePlatform } from '../../image/oci/platform.ts';
import { formatReleaseName } from '../../image/oci/releasename.ts';
import { readName } from '../../store/name.ts';
import { readAttachments } from '../../store/attached/attachments.ts';
import type { StoreReader } from '../../store/objects/store.ts';
import { readIndex, type PatchOffer, type TargetIndex } from '../../store/targetindex.ts';
import type { Verify } from '../../store/key.ts';
import { trustName } from './accepted.ts';
import { download } from './download.ts';
import type { Answer, ImageRequest, Offer, Origin, OriginOptions } from './origin.ts';

/** Patches in a store. The store's name records say which image a tag stands for. */
export function storeOrigin(
  request: ImageRequest,
  options: OriginOptions,
  open: () => Promise<StoreReader>,
): Origin {
  return {
    label: 'the store',
    async ask(): Promise<Answer | string> {
      const reader = await open();
      const { name } = request;
      const named = name.digest ? undefined : await resolveName(request, options, reader);
      const manifest = name.digest ?? named?.manifest;
      if (!manifest) return `the store knows no ${formatReleaseName(name)}`;
      const index = await readIndex(reader, manifest);
      if (!index)
        return named
          ? { target: named, ...attachedTo(named, reader) }
          : `the store has no index of ${manifest}`;
      if (named) checkSame(named, index.target, reader.where);
      return answerOf(index, reader);
    },
  };
}

function answerOf(index: TargetIndex, reader: StoreReader): Answer {
  const { manifest, config, layers, size } = index.target;
  const target = { manifest, config, layers, size };
  const offers = index.patches.map((offer) => offerOf(offer, target, reader));
  return { target, pullSize: index.pullSize, offers, ...attachedTo(target, reader) };
}

function attachedTo({ manifest }: ImageIdentity, reader: StoreReader): Pick<Answer, 'readAttachments'> {
  return { readAttachments: async () => readAttachments(reader, manifest) };
}

function offerOf(offer: PatchOffer, target: ImageIdentity, reader: StoreReader): Offer {
  return {
    ...offer,
    async askSource() {
      const index = offer.source.images ? undefined : await readIndex(reader, offer.source.manifest);
      return index && answerOf(index, reader);
    },
    verify: (verify: Verify) =>
      verifyPatch({ ...offer, target, patch: offer }, verify, `${reader.where} ${offer.key}`),
    fetch: (path, _, signal) => download(reader, offer, path, signal),
  };
}

/** The image that a tag stands for, from the store's name record. Undefined if there is none. */
async function resolveName(
  { name, platform }: ImageRequest,
  options: OriginOptions,
  reader: StoreReader,
): Promise<ImageIdentity | undefined> {
  const record = await readName(reader, name, formatPlatform(platform ?? machinePlatform()));
  if (!record) return undefined;
  await trustName(record, options, `${reader.where} ${record.name}`);
  return record.target;
}

/** Compares the image IDs of one manifest: if they differ, a record was manipulated. @throws PanamaxError `untrusted` */
function checkSame(named: ImageIdentity, indexed: ImageIdentity, where: string): void {
  if (named.config === indexed.config) return;
  const facts = { expected: named.config, found: indexed.config, where };
  throw new PanamaxError('untrusted', 'name and index differ in the image', facts);
}
