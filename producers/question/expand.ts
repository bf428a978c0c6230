import { PanamaxError } from '../../lib/errors.ts';
import type { Limits } from '../../lib/limits.ts';
import { splitTransport } from '../../lib/image/oci/reference.ts';
import { compareVersions } from '../../lib/image/oci/version.ts';
import { openRepository } from '../../lib/image/registry/registry.ts';
import { parseRegistryName } from '../../lib/image/oci/registryname.ts';

export interface TagChoice {
  /** Pattern of tags for repositories that are named without one. */
  readonly tags?: string;
  /** Number of matching tags to keep, the highest versions. */
  readonly last?: number;
  readonly limits: Limits;
  readonly signal?: AbortSignal;
}

/**
 * Replaces repositories of a registry by their images: `docker://HOST/REPO:PATTERN`, and with `tags` also
 * `docker://HOST/REPO`. Patterns have `*` and `?`. Other references are kept; duplicates are dropped.
 *
 * @throws PanamaxError `not-found` if no tag matches; `usage` for an invalid reference; errors of the registry's client
 */
export async function expandReferences(references: readonly string[], choice: TagChoice): Promise<string[]> {
  const expanded: string[] = [];
  for (const reference of references) {
    const found = patternOf(reference, choice.tags);
    if (!found) {
      checkReference(reference);
      expanded.push(reference);
    } else for (const tag of await findTags(found, choice)) expanded.push(`docker://${found.path}:${tag}`);
  }
  return [...new Set(expanded)];
}

/** Whether a reference names images by a pattern of their tags. */
export function isPattern(reference: string, tags: string | undefined): boolean {
  return patternOf(reference, tags) !== undefined;
}

/** Refuses names that no registry can have. Whether the image exists is found when it is read. @throws PanamaxError `usage` */
function checkReference(reference: string): void {
  const split = splitTransport(reference);
  if (split?.transport === 'docker') parseRegistryName(split.path);
}

interface RepositoryPattern {
  /** HOST/REPO */
  readonly path: string;
  readonly pattern: string;
}

function patternOf(reference: string, tags: string | undefined): RepositoryPattern | undefined {
  const text = /^docker:\/\/([^@]+)$/.exec(reference)?.[1];
  if (text === undefined) return undefined;
  const [, path, pattern = tags] = /^(.*?)(?::([^/:]*))?$/.exec(text)!;
  if (pattern === undefined || !(/[*?]/.test(pattern) || text === path)) return undefined;
  return { path: path!, pattern };
}

async function findTags({ path, pattern }: RepositoryPattern, choice: TagChoice): Promise<string[]> {
  const repository = openRepository(parseRegistryName(path), choice);
  const fits = globOf(pattern);
  const tags: string[] = [];
  for await (const tag of repository.listTags()) {
    if (fits.test(tag) && !isReferrersTag(tag)) tags.push(tag);
  }
  if (tags.length === 0) {
    throw new PanamaxError('not-found', 'no tag fits', { expected: pattern, where: `docker://${path}` });
  }
  tags.sort(compareVersions);
  return choice.last === undefined ? tags : tags.slice(-choice.last);
}

/** Whether a tag holds referrers of an image, as in registries without the referrers API, or a signature of cosign. */
export function isReferrersTag(tag: string): boolean {
  return /^sha256-[0-9a-f]{64}(\.|$)/.test(tag);
}

/** A pattern of tags as a regular expression. */
export function globOf(pattern: string): RegExp {
  const source = pattern
    .replaceAll(/[^*?\w]/g, String.raw`\$&`)
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`);
}
