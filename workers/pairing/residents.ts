import type { Digest } from '../../lib/digest.ts';
import type { StoredProfile } from '../../lib/pairing/signature/stored.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { keys } from '../../lib/store/keys.ts';
import { loadProfile, type LoadedProfile } from '../signature/load.ts';

/** Profiles of a store in memory, across targets: a source is a source of many targets. Those last used are kept. */
export interface Residents {
  /** @throws PanamaxError `not-found`, `bad-input` */
  load(manifest: Digest): Promise<StoredProfile>;
  has(manifest: Digest): boolean;
  /** Sets the bound on their tables, in bytes. */
  limit(bytes: number): void;
}

/** Bound on the tables in bytes, and its share of the memory for jobs if that is less. */
const MOST_RESIDENT = 256 * 1024 ** 2;
const SHARE = 1 / 8;

const residents = new WeakMap<Store, Residents>();

/** @param memory memory of the process for jobs, in bytes */
export function residentsOf(store: Store, memory = Infinity): Residents {
  let known = residents.get(store);
  if (!known) residents.set(store, (known = createResidents(store)));
  known.limit(Math.min(MOST_RESIDENT, memory * SHARE));
  return known;
}

/**
 * An image does not change, so its profile stays valid. The store is asked for the size of the signature, so that one that
 * has been removed or cut off is found as if it were read.
 */
function createResidents(store: Store): Residents {
  /** The last used last. */
  const profiles = new Map<Digest, LoadedProfile>();
  const reading = new Map<Digest, Promise<LoadedProfile>>();
  let most = MOST_RESIDENT;
  let size = 0;

  function keep(profile: LoadedProfile): LoadedProfile {
    profiles.set(profile.head.manifest, profile);
    size += profile.table.byteLength;
    trim();
    return profile;
  }

  function drop(profile: LoadedProfile): void {
    if (profiles.delete(profile.head.manifest)) size -= profile.table.byteLength;
  }

  function trim(): void {
    for (const oldest of profiles.values()) {
      if (size <= most) return;
      drop(oldest);
    }
  }

  async function find(manifest: Digest): Promise<LoadedProfile> {
    const known = profiles.get(manifest);
    if (known) {
      const info = await store.stat(keys.signature(manifest));
      if (profiles.get(manifest) === known) drop(known);
      if (info?.size === known.storedSize) return keep(known);
    }
    return keep(await loadProfile(store, manifest));
  }

  return {
    has: (manifest) => profiles.has(manifest),
    limit(bytes) {
      most = bytes;
      trim();
    },
    load(manifest) {
      let promise = reading.get(manifest);
      if (!promise) reading.set(manifest, (promise = find(manifest).finally(() => reading.delete(manifest))));
      return promise;
    },
  };
}
