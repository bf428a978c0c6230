import * as v from 'valibot';
import { summarySchema } from '../../lib/run/report.ts';
import { failureSchema, formatSchema } from '../../lib/run/schemas.ts';
import { STAGES } from '../../lib/run/stage.ts';
import { digestSchema, objectSchema, sizeSchema, type Checked } from '../../lib/schema.ts';

/** Events about runs (docs/operations.md, "Events"). Their data is in docs/json.md. */

const { id: _id, parts: _parts, ...summaryEntries } = summarySchema.pipe[1].entries;

export const EVENT_SCHEMAS = {
  'panamax.run.finished': objectSchema({ version: v.literal(1), run: v.string(), ...summaryEntries }),
  'panamax.run.failed': objectSchema({ version: v.literal(1), run: v.string(), error: failureSchema }),
  'panamax.patch.published': objectSchema({
    version: v.literal(1),
    run: v.string(),
    target: objectSchema({ manifest: digestSchema, reference: v.string() }),
    source: objectSchema({ manifest: digestSchema, reference: v.string() }),
    format: formatSchema,
    patch: objectSchema({ size: sizeSchema, digest: digestSchema }),
    pull: sizeSchema,
  }),
  'panamax.item.failed': objectSchema({
    version: v.literal(1),
    run: v.string(),
    stage: v.picklist(STAGES),
    item: v.string(),
    subject: v.string(),
    error: failureSchema,
  }),
};
export type EventType = keyof typeof EVENT_SCHEMAS;

export interface Event<Type extends EventType = EventType> {
  /** The same each time that the event is told of, so that receivers know it again. */
  readonly id: string;
  readonly type: Type;
  /** A run's name or an image's reference. */
  readonly subject: string;
  readonly data: Checked<(typeof EVENT_SCHEMAS)[Type]>;
}

/** Takes an event to be sent some time. Never throws. */
export type Notify = (event: Event) => void;
