/** A binary heap. `pop` removes an item that no other item is before. */
export function createHeap<Item>(isBefore: (a: Item, b: Item) => boolean): {
  push(item: Item): void;
  pop(): Item | undefined;
} {
  const items: Item[] = [];
  const swap = (i: number, j: number) => ([items[i], items[j]] = [items[j]!, items[i]!]);
  return {
    push(item) {
      let at = items.push(item) - 1;
      for (; at > 0; at = (at - 1) >> 1) {
        const parent = (at - 1) >> 1;
        if (!isBefore(items[at]!, items[parent]!)) break;
        swap(at, parent);
      }
    },
    pop() {
      if (items.length === 0) return undefined;
      swap(0, items.length - 1);
      const top = items.pop();
      for (let at = 0; ;) {
        let first = at;
        for (const child of [2 * at + 1, 2 * at + 2]) {
          if (child < items.length && isBefore(items[child]!, items[first]!)) first = child;
        }
        if (first === at) return top;
        swap(at, first);
        at = first;
      }
    },
  };
}
