import { parseDigest } from '../../digest.ts';
import { asArray, asRecord, asSize, parseDocument } from '../../json.ts';
import { LAYER_VERSION } from '../../store/keys.ts';
import { LAYER, openLayerColumns, type LayerHead, type LayerSummary } from './layercolumns.ts';
import {
  expandSection,
  expandSectionSync,
  openSections,
  packSections,
  type StoredSection,
} from './sections.ts';
import { parsedTlsh } from './stored.ts';
import { packTable } from './table.ts';

/** The stored form of a layer's summary (docs/formats.md). */

const SCHEME = {
  magic: 'PanamaxL',
  version: LAYER_VERSION,
  names: ['document', 'columns'],
  noun: 'layer summary',
} as const;

export async function serializeLayer({ columns, ...head }: LayerSummary): Promise<Buffer> {
  const document = Buffer.from(JSON.stringify(head satisfies LayerHead));
  return packSections(SCHEME, { document, columns: packTable(LAYER, columns) });
}

/** @throws PanamaxError `bad-input` for a damaged summary or one of another version */
export async function parseLayer(bytes: Uint8Array, where: string): Promise<LayerSummary> {
  const { document, columns } = openSections(SCHEME, bytes, where);
  const table = await expandSection(columns, SCHEME.noun, where);
  return { ...readHead(document, where), columns: openLayerColumns(table, where) };
}

/** Reads a summary without its columns. @throws PanamaxError `bad-input` as `parseLayer` */
export function parseLayerHead(bytes: Uint8Array, where: string): LayerHead {
  return readHead(openSections(SCHEME, bytes, where).document, where);
}

function readHead(section: StoredSection, where: string): LayerHead {
  const head = asRecord(parseDocument(expandSectionSync(section, SCHEME.noun, where), where), where);
  return {
    diffID: parseDigest(head['diffID'], `${where} diffID`),
    size: asSize(head['size'], `${where} size`),
    zeros: asSize(head['zeros'], `${where} zeros`),
    tlsh: parsedTlsh(head['tlsh'], `${where} tlsh`),
    blobs: asArray(head['blobs'], `${where} blobs`).map((value, i) => {
      const at = `${where} blobs[${i}]`;
      const blob = asRecord(value, at);
      return {
        digest: parseDigest(blob['digest'], `${at} digest`),
        size: asSize(blob['size'], `${at} size`),
        pullSize: asSize(blob['pullSize'], `${at} pullSize`),
      };
    }),
  };
}
