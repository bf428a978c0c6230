import { arch } from 'node:process';
import { PanamaxError } from '../../errors.ts';
import type { Platform } from './descriptor.ts';

/** Node's names of architectures that differ from Go's (GOARCH), which images use. */
const GO_ARCH: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' };

/** Other names of architectures, as containerd knows them. */
const ALIASES: ReadonlyMap<string, { readonly architecture: string; readonly variant?: string }> = new Map([
  ['i386', { architecture: '386' }],
  ['x86_64', { architecture: 'amd64' }],
  ['x86-64', { architecture: 'amd64' }],
  ['aarch64', { architecture: 'arm64' }],
  ['armhf', { architecture: 'arm', variant: 'v7' }],
  ['armel', { architecture: 'arm', variant: 'v6' }],
]);

/** Minor versions of ARMv8 that ARMv9.0 includes. */
const V8_MINORS_OF_V9 = 5;

/** The platform of this machine's containers: always Linux, also if panamax runs on another system. */
export function machinePlatform(): Platform {
  return { os: 'linux', architecture: GO_ARCH[arch] ?? arch };
}

/** Parses `os/architecture[/variant]`, as docker's `--platform`. Aliases are resolved. @throws PanamaxError `usage` */
export function parsePlatformOption(text: string): Platform {
  const [os, name, given, ...rest] = text.split('/');
  if (!os || !name || rest.length > 0 || given === '') {
    throw new PanamaxError('usage', 'not a platform', { expected: 'os/architecture[/variant]', found: text });
  }
  const { architecture, variant = given } = ALIASES.get(name.toLowerCase()) ?? { architecture: name };
  return variant === undefined ? { os, architecture } : { os, architecture, variant };
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter(Boolean).join('/');
}

/**
 * A platform in containerd's form (github.com/containerd/platforms): aliases resolved, linux if there is no system,
 * `arm` is `arm/v7`, `arm64/v8` is `arm64`, `amd64/v1` is `amd64`.
 */
export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase() || 'linux';
  const name = platform.architecture.toLowerCase();
  const alias = ALIASES.get(name);
  const architecture = alias?.architecture ?? name;
  const variant = normalVariant(architecture, alias?.variant ?? platform.variant?.toLowerCase() ?? '');
  return variant ? { os, architecture, variant } : { os, architecture };
}

function normalVariant(architecture: string, variant: string): string {
  const version = /^\d/.test(variant) ? `v${variant}` : variant;
  if (architecture === '386') return '';
  if (architecture === 'amd64') return variant === 'v1' ? '' : variant;
  if (architecture === 'arm') return version || 'v7';
  if (architecture !== 'arm64') return variant;
  return version === 'v8' || version === 'v8.0' ? '' : version.replace(/^v9\.0$/, 'v9');
}

/** Whole numbers in descending order. */
function down(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, from - to + 1) }, (_, i) => from - i);
}

/** Platforms whose images run on a platform, best first, in containerd's form. */
function compatible(wanted: Platform): Platform[] {
  const { os, architecture, variant } = normalizePlatform(wanted);
  const list = (name: string, variants: readonly string[]) =>
    variants.map((found) => ({ os, architecture: name, ...(found && { variant: found }) }));
  const [, major = '', minor = '0'] = /^v(\d{1,2})(?:\.(\d{1,2}))?$/.exec(variant ?? '') ?? [];
  const exact = list(architecture, [variant ?? '']);
  if (architecture === 'amd64') {
    const older = down(Number(major) - 1, 2).map((version) => `v${version}`);
    return [...exact, ...list('amd64', [...older, '']), ...list('386', [''])];
  }
  if (architecture === 'arm') {
    return [
      ...exact,
      ...list(
        'arm',
        down(Number(major) - 1, 5).map((version) => `v${version}`),
      ),
    ];
  }
  if (architecture !== 'arm64') return exact;
  const isV9 = major === '9';
  const ninth = isV9 ? down(Number(minor) - 1, 0).map((found) => (found === 0 ? 'v9' : `v9.${found}`)) : [];
  const eighth = down(Number(minor) + (isV9 ? V8_MINORS_OF_V9 : -1), 1).map((found) => `v8.${found}`);
  const older = list('arm64', [...ninth, ...eighth, '']);
  return [...exact, ...older, ...list('arm', ['v8', 'v7', 'v6', 'v5'])];
}

/**
 * Checks the platform of an image's config. Variants do not count, because old configs lack them.
 *
 * @throws PanamaxError `not-found`
 */
export function checkPlatform(platform: Platform, wanted: Platform, where: string): void {
  const { os, architecture } = normalizePlatform(platform);
  if (compatible(wanted).some((fit) => fit.os === os && fit.architecture === architecture)) return;
  throw new PanamaxError('not-found', 'no image for this platform', {
    expected: formatPlatform(wanted),
    found: formatPlatform(platform),
    where,
  });
}

/** Those of the items that fit a platform best, in their order; none if no item runs on it. */
export function bestFits<Item>(
  items: readonly Item[],
  platformsOf: (item: Item) => readonly Platform[],
  wanted: Platform,
): Item[] {
  const ranks = new Map(
    compatible(wanted)
      .map((platform, rank) => [formatPlatform(platform), rank] as const)
      .reverse(),
  );
  const rankOf = (item: Item) =>
    Math.min(
      ...platformsOf(item).map((found) => ranks.get(formatPlatform(normalizePlatform(found))) ?? Infinity),
    );
  const best = Math.min(...items.map(rankOf));
  return best === Infinity ? [] : items.filter((item) => rankOf(item) === best);
}
