// A list of which only what is in view is in the page.
import type { ComponentChildren } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

interface Props<Item> {
  items: readonly Item[];
  height: number;
  label: string;
  header?: ComponentChildren;
  row: (item: Item, place: number) => ComponentChildren;
  onEnd?: () => void;
}

const MARGIN = 10;

export function Rows<Item>({ items, height, label, header, row, onEnd }: Props<Item>) {
  const box = useRef<HTMLDivElement>(null);
  const seen = useSignal({ first: 0, last: 40 });
  const look = (): void => {
    const here = box.current;
    if (!here) return;
    const top = Math.floor(here.scrollTop / height);
    const bottom = Math.min(items.length, Math.ceil((here.scrollTop + here.clientHeight) / height));
    const now = seen.peek();
    if (top < now.first || bottom > now.last || now.last > items.length)
      seen.value = { first: Math.max(0, top - MARGIN), last: Math.min(items.length, bottom + MARGIN) };
    if (bottom >= items.length) onEnd?.();
  };
  useLayoutEffect(look);
  useEffect(() => {
    const watch = new ResizeObserver(look);
    if (box.current) watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  const { first, last } = seen.value;
  return (
    <div class="table" role="table" aria-label={label} aria-rowcount={items.length + 1}>
      {header}
      <div class="body" role="rowgroup" ref={box} onScroll={look} tabIndex={0}>
        <div class="all" style={{ height: `${items.length * height}px` }} role="presentation">
          {items.slice(first, last).map((item, offset) => (
            <div
              key={first + offset}
              class="row"
              role="row"
              aria-rowindex={first + offset + 2}
              style={{ top: `${(first + offset) * height}px`, height: `${height}px` }}
            >
              {row(item, first + offset)}
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}
