import type { ContentCosts } from './cover.ts';
import type { Calibrations } from './prediction.ts';
import { compareWithCosts, type Candidate } from './ranking.ts';
import { viewProfile, type StoredProfile } from './signature/stored.ts';
import { asTarget, type Target } from './target.ts';

export interface CompareTask {
  readonly target: StoredProfile;
  /** One image, or several as one source. */
  readonly sources: readonly StoredProfile[];
  readonly calibrations: Calibrations;
}

export interface Compared {
  readonly candidate: Candidate;
  /** Of a patch in the default format. */
  readonly costs: ContentCosts;
}

/** Targets that are kept: a ranking compares one target with many sources. */
const MOST_TARGETS = 2;

/** By manifest, the last used last. */
const targets = new Map<string, Target>();

/** Compares in the calling thread. */
export function compareHere({ target, sources, calibrations }: CompareTask): Compared {
  return compareWithCosts(targetOf(target), sources.map(viewProfile), calibrations);
}

function targetOf(profile: StoredProfile): Target {
  const { manifest } = profile.head;
  const target = targets.get(manifest) ?? asTarget(viewProfile(profile));
  targets.delete(manifest);
  targets.set(manifest, target);
  for (const oldest of targets.keys()) {
    if (targets.size <= MOST_TARGETS) break;
    targets.delete(oldest);
  }
  return target;
}
