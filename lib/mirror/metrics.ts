import { Counter, Gauge, Registry } from 'prom-client';
import type { Context } from './context.ts';
import { isWhole } from './heldimages.ts';
import { sizeOf } from './quota.ts';

/** The figures of a mirror in the text format of Prometheus. */
export function createMetrics({ totals, cache, records }: Context): {
  readonly type: string;
  text(): Promise<string>;
} {
  const registry = new Registry();
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: readonly string[] = []) =>
    new Counter({ name: `panamax_mirror_${name}`, help, labelNames, registers });
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `panamax_mirror_${name}`, help, registers });

  const moved = counter('moved_bytes_total', 'Bytes received, by origin', ['origin']);
  const served = counter('served_bytes_total', 'Bytes of blobs sent to clients');
  const rebuilt = counter('rebuilt_bytes_total', 'Bytes of layers rebuilt from patches');
  const saved = counter('saved_bytes_total', 'Bytes of rebuilt layers, less the bytes of their patches');
  const seconds = counter('rebuild_seconds_total', 'Time of rebuilds');
  const ways = counter('images_total', 'Images asked for, by how they came', ['way']);
  const heldBytes = gauge('held_bytes', 'Bytes of blobs on disk');
  const heldImages = gauge('held_images', 'Images with all blobs on disk');

  return {
    type: registry.contentType,
    async text() {
      registry.resetMetrics();
      moved.inc({ origin: 'upstream' }, totals.upstreamBytes);
      moved.inc({ origin: 'store' }, totals.storeBytes);
      served.inc(totals.servedBytes);
      rebuilt.inc(totals.rebuiltBytes);
      saved.inc(Math.max(0, totals.rebuiltBytes - totals.patchBytes));
      seconds.inc(totals.rebuildSeconds);
      for (const [way, count] of totals.images) ways.inc({ way }, count);
      heldBytes.set(sizeOf(cache.held));
      const images = [...records.manifests.values()].filter(({ blobs }) => blobs.length > 0);
      heldImages.set(images.filter((manifest) => isWhole(manifest, cache)).length);
      return registry.metrics();
    },
  };
}
