import { formatSize } from '../format.ts';
import { escapeHtml } from './html.ts';

/** A cell: its text, the number that it is sorted by, and the address of a page. */
export type Cell = readonly [text: string, value?: number | undefined, href?: string];

export interface Table {
  readonly id: string;
  readonly caption: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  /** Columns of text; the others are aligned to the right. */
  readonly left: ReadonlySet<number>;
}

/** A cell of bytes; undefined for unknown ones. */
export function size(bytes: number | undefined): Cell {
  return bytes === undefined ? ['–', -1] : [formatSize(bytes), bytes];
}

/** A table whose headings are buttons that sort it, with a field that filters it. Both need the page's script. */
export function formatTable({ id, caption, head, rows, left }: Table): string {
  const kind = (column: number) => (left.has(column) ? '' : ' class="number"');
  const headings = head.map(
    (name, i) => `<th scope="col"${kind(i)}><button type="button">${name}</button></th>`,
  );
  const lines = rows.map((cells) => {
    const columns = cells.map(
      ([text, value, href], i) =>
        `<td${kind(i)}${value === undefined ? '' : ` data-v="${value}"`}>${linked(text, href)}</td>`,
    );
    return `<tr>${columns.join('')}</tr>`;
  });
  return `<div class="filter"><label for="${id}-f">Filter</label> <input id="${id}-f" type="search" data-for="${id}" autocomplete="off"> <output for="${id}-f" aria-live="polite">${rows.length} row${rows.length === 1 ? '' : 's'}</output></div>
<div class="scroll" tabindex="0" role="region" aria-label="${escapeHtml(caption)}"><table id="${id}">
<caption>${escapeHtml(caption)}</caption>
<thead><tr>${headings.join('')}</tr></thead>
<tbody>
${lines.join('\n')}
</tbody>
</table></div>`;
}

function linked(text: string, href: string | undefined): string {
  const words = escapeHtml(text);
  return href === undefined ? words : `<a href="${escapeHtml(href)}">${words}</a>`;
}
