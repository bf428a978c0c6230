/** Whether a tag is a version with at least two numbers: `1.2`, `v1.10.3-rc.1`. */
export function isVersion(tag: string): boolean {
  return /^v?\d+(\.\d+)+([-+._].*)?$/.test(tag);
}

/**
 * Compares tags, which need not be semantic versions: numbers by value, pre-releases before their release (1.9,
 * 1.10-rc.1, 1.10).
 */
export function compareVersions(a: string, b: string): number {
  const x = partsOf(a);
  const y = partsOf(b);
  for (let i = 0; i < Math.max(x.length, y.length); i++) {
    const [p, q] = [x[i], y[i]];
    if (p === q) continue;
    if (p === undefined) return q!.startsWith('-') ? 1 : -1;
    if (q === undefined) return p.startsWith('-') ? -1 : 1;
    const numbers = /^\d/.test(p) && /^\d/.test(q);
    if (numbers && Number(p) !== Number(q)) return Number(p) - Number(q);
    if (p.startsWith('-') !== q.startsWith('-')) return p.startsWith('-') ? -1 : 1;
    return p < q ? -1 : 1;
  }
  return 0;
}

function partsOf(tag: string): readonly string[] {
  return tag.match(/\d+|\D+/g) ?? [];
}
