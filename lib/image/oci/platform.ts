import { arch } from 'node:process';
import { PanamaxError } from '../../errors.ts';
import type { Descriptor, Platform } from './descriptor.ts';

/** Node's names of architectures that differ from Go's (GOARCH), which images use. */
const GO_ARCH: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' };

/** The platform of this machine's containers: always Linux, also if panamax runs on another system. */
export function machinePlatform(): Platform {
  return { os: 'linux', architecture: GO_ARCH[arch] ?? arch };
}

/** Parses `os/architecture[/variant]`, as docker's `--platform`. @throws PanamaxError `usage` */
export function parsePlatformOption(text: string): Platform {
  const [os, architecture, variant, ...rest] = text.split('/');
  if (!os || !architecture || rest.length > 0 || variant === '') {
    throw new PanamaxError('usage', 'not a platform', { expected: 'os/architecture[/variant]', found: text });
  }
  return variant === undefined ? { os, architecture } : { os, architecture, variant };
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter(Boolean).join('/');
}

/** Checks the platform of an image that has no index. @throws PanamaxError `not-found` */
export function checkPlatform(platform: Platform, wanted: Platform, where: string): void {
  if (platform.os === wanted.os && platform.architecture === wanted.architecture) return;
  throw new PanamaxError('not-found', 'no image for this platform', {
    expected: formatPlatform(wanted),
    found: formatPlatform(platform),
    where,
  });
}

/**
 * Chooses the manifest for a platform from an index. The only manifest is chosen if it has no platform. Attestations
 * have platform unknown/unknown and are ignored.
 *
 * @throws PanamaxError `not-found`
 */
export function choosePlatform(
  manifests: readonly Descriptor[],
  wanted: Platform,
  where: string,
): Descriptor {
  const images = manifests.filter((m) => m.platform?.os !== 'unknown');
  const [only] = images;
  if (images.length === 1 && only && !only.platform) return only;
  const fits = images.filter(
    (m) => m.platform?.os === wanted.os && m.platform.architecture === wanted.architecture,
  );
  const chosen =
    fits.find((m) => m.platform?.variant === wanted.variant) ??
    (wanted.variant === undefined ? fits[0] : fits.find((m) => m.platform?.variant === undefined));
  if (chosen) return chosen;
  throw new PanamaxError('not-found', 'no image for this platform', {
    expected: formatPlatform(wanted),
    found: images.map((m) => (m.platform ? formatPlatform(m.platform) : 'any')).join(', ') || 'none',
    where,
  });
}
