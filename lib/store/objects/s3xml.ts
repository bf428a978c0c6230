/** Reads the XML documents of the S3 API. Values stay text: IDs and tokens may consist of digits. */

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** The content of each element of a name, in order. Elements of one name are not nested in these documents. */
export function elementsOf(xml: string, name: string): string[] {
  const pattern = new RegExp(`<${name}(?:\\s[^>]*)?(?:/>|>([^]*?)</${name}\\s*>)`, 'g');
  return Array.from(xml.matchAll(pattern), ([, content = '']) => content);
}

/** The text of the first element of a name without the white space around it; undefined if it is empty or missing. */
export function textOf(xml: string, name: string): string | undefined {
  const [content = ''] = elementsOf(xml, name);
  return (
    content.trim().replace(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(\w+));/g, (whole, decimal, hex, entity) => {
      if (entity !== undefined) return ENTITIES[entity] ?? whole;
      const code = decimal === undefined ? parseInt(hex, 16) : Number(decimal);
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    }) || undefined
  );
}

export function escapeXml(text: string): string {
  return text.replace(/[<>&"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
