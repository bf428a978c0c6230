/** Sorts tables by their headings and filters their rows. Without it the tables are complete, in the order of releases. */
export const SCRIPT = `
for (const table of document.querySelectorAll('table')) {
  const body = table.tBodies[0];
  const key = (row, i) => {
    const { dataset, textContent } = row.cells[i];
    return dataset.v === undefined ? textContent : Number(dataset.v);
  };
  [...table.tHead.rows[0].cells].forEach((head, i) => {
    head.firstChild.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [key(a, i), key(b, i)];
        const order = typeof x === 'number' ? x - y : x.localeCompare(y, undefined, { numeric: true });
        return down ? -order : order;
      });
      body.append(...rows);
    });
  });
}
for (const input of document.querySelectorAll('input[data-for]')) {
  const rows = document.getElementById(input.dataset.for).tBodies[0].rows;
  const output = input.parentNode.querySelector('output');
  input.addEventListener('input', () => {
    const words = input.value.toLowerCase().split(/\\s+/);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      if (!row.hidden) shown++;
    }
    output.textContent = shown + (shown === 1 ? ' row' : ' rows');
  });
}
`;
