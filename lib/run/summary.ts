import { keys } from '../store/keys.ts';
import type { Store } from '../store/objects/store.ts';
import { getDocument, inRun, putDocument } from './document.ts';
import {
  failuresOf,
  reportPartSchema,
  summarySchema,
  type ReportPart,
  type RunReport,
  type RunSummary,
} from './report.ts';

/**
 * The report of a run: `report.json` is short, however large the run is. The outcomes of items are in numbered parts
 * beside it, so that a large run is never held in memory as a whole.
 */

/** Items of a part at most: a few megabytes of JSON. A larger piece is a part of its own. */
const PART_SIZE = 1000;

const NO_ITEMS: ReportPart = { images: [], pairs: [], passedOver: [] };

/** Writes the items as they come, then the result of `summarize`, which is called once all have been written. */
export async function putReport(
  store: Store,
  run: string,
  pieces: AsyncIterable<ReportPart>,
  summarize: () => Omit<RunSummary, 'parts'>,
): Promise<void> {
  const parts: RunSummary['parts'][number][] = [];
  let part = NO_ITEMS;
  const flush = async () => {
    if (sizeOf(part) === 0) return;
    await putDocument(store, run, inRun.part(parts.length), part);
    parts.push({ failures: failuresOf(part).length });
    part = NO_ITEMS;
  };
  for await (const piece of pieces) {
    if (sizeOf(part) + sizeOf(piece) > PART_SIZE) await flush();
    part = joined([part, piece]);
  }
  await flush();
  await putDocument(store, run, inRun.report, { ...summarize(), parts });
}

/** Undefined as long as a run is not over. @throws PanamaxError `bad-input` */
export async function findSummary(store: Store, run: string): Promise<RunSummary | undefined> {
  return getDocument(store, run, inRun.report, summarySchema);
}

export async function removeSummary(store: Store, run: string): Promise<void> {
  await store.remove(keys.run(run, inRun.report));
}

/** Reads the parts that are wanted, one at a time. @throws PanamaxError `bad-input` */
export async function* readParts(
  store: Store,
  { id, parts }: RunSummary,
  isWanted: (part: RunSummary['parts'][number]) => boolean = () => true,
): AsyncGenerator<ReportPart, void, void> {
  for (const [number, part] of parts.entries()) {
    if (!isWanted(part)) continue;
    const document = await getDocument(store, id, inRun.part(number), reportPartSchema);
    if (document) yield document;
  }
}

/** The whole report; undefined as long as the run is not over. @throws PanamaxError `bad-input` */
export async function findReport(store: Store, run: string): Promise<RunReport | undefined> {
  const summary = await findSummary(store, run);
  if (!summary) return undefined;
  const { id, started, finished, stages } = summary;
  const items = joined(await Array.fromAsync(readParts(store, summary)));
  return { id, started, finished, rankings: stages.pairing, ...items };
}

function joined(parts: readonly ReportPart[]): ReportPart {
  return {
    images: parts.flatMap(({ images }) => images),
    pairs: parts.flatMap(({ pairs }) => pairs),
    passedOver: parts.flatMap(({ passedOver }) => passedOver),
  };
}

function sizeOf({ images, pairs, passedOver }: ReportPart): number {
  return images.length + pairs.length + passedOver.length;
}
