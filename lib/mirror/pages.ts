import { rm, writeFile } from 'node:fs/promises';
import { partIn } from '../runtime/file.ts';
import type { Page } from '../web/server.ts';
import type { Context } from './context.ts';
import { createMetrics } from './metrics.ts';

/** Pages for an orchestrator. A mirror is ready if its disk takes files: without a store and an upstream it serves what it holds. */
export function pagesOf(context: Context): Readonly<Record<string, Page>> {
  const type = 'text/plain';
  return {
    '/healthz': { type, text: async () => 'alive\n' },
    '/readyz': {
      type,
      async text() {
        const probe = partIn(context.state);
        try {
          await writeFile(probe, 'probe', { flush: true });
        } finally {
          await rm(probe, { force: true });
        }
        return 'ready\n';
      },
    },
    '/metrics': createMetrics(context),
  };
}
