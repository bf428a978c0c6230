/**
 * Sorts tables by their headings and filters their rows, also those that are put in later: `restoreTables` then sorts and
 * filters them as before. Without it the tables are complete, in the order of releases.
 */
export const SCRIPT = `
const orders = new Map();
const words = new Map();
const keyOf = (row, i) => {
  const { dataset, textContent } = row.cells[i];
  return dataset.v === undefined ? textContent : Number(dataset.v);
};
function sortTable(table, i, down) {
  const heads = table.tHead.rows[0].cells;
  for (const other of heads) other.removeAttribute('aria-sort');
  heads[i].setAttribute('aria-sort', down ? 'descending' : 'ascending');
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    const [x, y] = [keyOf(a, i), keyOf(b, i)];
    const order = typeof x === 'number' ? x - y : x.localeCompare(y, undefined, { numeric: true });
    return down ? -order : order;
  });
  table.tBodies[0].append(...rows);
}
function filterTable(input) {
  const rows = document.getElementById(input.dataset.for).tBodies[0].rows;
  const parts = input.value.toLowerCase().split(/\\s+/);
  let shown = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !parts.every((part) => text.includes(part));
    if (!row.hidden) shown++;
  }
  input.parentNode.querySelector('output').textContent = shown + (shown === 1 ? ' row' : ' rows');
}
function restoreTables(part) {
  for (const table of part.querySelectorAll('table')) {
    const order = orders.get(table.id);
    if (order) sortTable(table, order.i, order.down);
  }
  for (const input of part.querySelectorAll('input[data-for]')) {
    input.value = words.get(input.id) ?? '';
    if (input.value) filterTable(input);
  }
}
document.addEventListener('click', (event) => {
  const head = event.target.closest('th button')?.parentNode;
  if (!head) return;
  const order = { i: head.cellIndex, down: head.getAttribute('aria-sort') === 'ascending' };
  const table = head.closest('table');
  orders.set(table.id, order);
  sortTable(table, order.i, order.down);
});
document.addEventListener('input', ({ target }) => {
  if (target.dataset.for === undefined) return;
  words.set(target.id, target.value);
  filterTable(target);
}, true);
`;
