import { arch } from 'node:process';
import { PanamaxError } from '../../errors.ts';
import type { Descriptor, Platform } from './descriptor.ts';

/** Node's names of architectures where they are not Go's (GOARCH), which images use. */
const GO_ARCH: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' };

/** Images for containers are Linux images, whatever system panamax runs on. */
export function machinePlatform(): Platform {
  return { os: 'linux', architecture: GO_ARCH[arch] ?? arch };
}

/** `os/architecture[/variant]`, as docker's `--platform`. @throws PanamaxError `usage` */
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

/** What an image without an index is for has to be what was asked for. @throws PanamaxError `not-found` */
export function checkPlatform(platform: Platform, wanted: Platform, where: string): void {
  if (platform.os === wanted.os && platform.architecture === wanted.architecture) return;
  throw new PanamaxError('not-found', 'no image for this platform', {
    expected: formatPlatform(wanted),
    found: formatPlatform(platform),
    where,
  });
}

/**
 * The manifest of an index that fits a platform. An index with one manifest needs no choice, as long as it
 * says no other platform. Attestations (platform unknown/unknown) are no images.
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
