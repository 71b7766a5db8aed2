// The plan as a graph: a column for each depth, laid out in one pass; of more than fifty siblings, most are one node.
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Chosen } from "./timeline";
import type { Lane, Run, State } from "./run";
import { count, oneLine, STATES } from "./text";

const MOST = 50;
const WIDTH = 190;
const HEIGHT = 30;
const GAP = { x: 64, y: 10 };

interface Node {
  key: string;
  lanes: Lane[];
  title: string;
  x: number;
  y: number;
  from: Set<Node>;
}

/** Nodes by depth, of the run's own tasks. */
export function layout(run: Run): { nodes: Node[]; width: number; height: number } {
  const byDepth: Lane[][] = [];
  for (const lane of run.roots) if (lane.role === "subagent") (byDepth[lane.depth] ??= []).push(lane);
  const nodes: Node[] = [];
  const nodeOf = new Map<Lane, Node>();
  let tallest = 0;
  byDepth.forEach((lanes, depth) => {
    const column = lanes.length > MOST ? folded(lanes) : lanes.map((lane) => [lane]);
    column.forEach((group, row) => {
      const first = group[0] as Lane;
      const node: Node = {
        key: first.key,
        lanes: group,
        title: group.length === 1 ? first.title : `${count(group.length)} × ${first.title.replace(/\s*\d+$/, "")}`,
        x: 12 + depth * (WIDTH + GAP.x),
        y: 12 + row * (HEIGHT + GAP.y),
        from: new Set(),
      };
      for (const lane of group) {
        nodeOf.set(lane, node);
        for (const need of lane.task?.needs ?? []) {
          const other = run.lanes.get(need);
          const before = other && nodeOf.get(other);
          if (before) node.from.add(before);
        }
      }
      nodes.push(node);
      tallest = Math.max(tallest, row + 1);
    });
  });
  return {
    nodes,
    width: 24 + byDepth.length * (WIDTH + GAP.x) - GAP.x,
    height: 24 + tallest * (HEIGHT + GAP.y) - GAP.y,
  };
}

/** Siblings that need the same are one node; what is left beyond fifty is one, too. */
function folded(lanes: Lane[]): Lane[][] {
  const alike = new Map<string, Lane[]>();
  for (const lane of lanes) {
    const key = `${lane.task?.kind}|${(lane.task?.needs ?? []).join("|")}`;
    const group = alike.get(key);
    if (group) group.push(lane);
    else alike.set(key, [lane]);
  }
  const groups = [...alike.values()].sort((one, other) => other.length - one.length);
  const rest = groups.slice(MOST - 1).flat();
  return rest.length ? [...groups.slice(0, MOST - 1), rest] : groups;
}

function stateOf(lanes: Lane[]): State {
  const order: State[] = ["running", "suspended", "failed", "capped", "planned", "cancelled", "answered"];
  return order.find((state) => lanes.some((lane) => lane.state === state)) ?? "planned";
}

interface Props {
  run: Run;
  chosen: Chosen;
  choose: (chosen: Chosen) => void;
}

export function Plan({ run, chosen, choose }: Props) {
  void run.version.value;
  const box = useRef<HTMLDivElement>(null);
  const view = useSignal({ left: 0, right: 2000, top: 0, bottom: 2000 });
  const look = (): void => {
    const here = box.current;
    if (!here) return;
    const left = Math.floor(here.scrollLeft / 400) * 400;
    const top = Math.floor(here.scrollTop / 400) * 400;
    const now = view.peek();
    const next = {
      left: left - 400,
      right: left + here.clientWidth + 800,
      top: top - 400,
      bottom: top + here.clientHeight + 800,
    };
    if (next.left !== now.left || next.right !== now.right || next.top !== now.top || next.bottom !== now.bottom)
      view.value = next;
  };
  useLayoutEffect(look);
  useEffect(() => {
    const watch = new ResizeObserver(look);
    if (box.current) watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  const { nodes, width, height } = layout(run);
  const { left, right, top, bottom } = view.value;
  const near = (node: Node): boolean =>
    node.x + WIDTH > left && node.x < right && node.y + HEIGHT > top && node.y < bottom;
  const move = (event: KeyboardEvent): void => {
    const at = nodes.find((node) => node.lanes.some((lane) => lane.key === chosen.task)) ?? nodes[0];
    if (!at) return;
    const sideways = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const along = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!sideways && !along) return;
    event.preventDefault();
    const x = at.x + (sideways ?? 0) * (WIDTH + GAP.x);
    const y = at.y + (along ?? 0) * (HEIGHT + GAP.y);
    const column = nodes.filter((node) => node.x === x);
    column.sort((one, other) => Math.abs(one.y - y) - Math.abs(other.y - y));
    if (column[0]) choose({ task: column[0].key, call: null });
  };
  if (!nodes.length) return <p class="empty">Nothing is planned yet.</p>;
  return (
    <div class="plan" ref={box} onScroll={look} tabIndex={0} onKeyDown={move} role="group" aria-label="Plan, by depth">
      <svg width={Math.max(width, 1)} height={Math.max(height, 1)} role="list">
        {nodes.flatMap((node) =>
          [...node.from].map((from) =>
            near(node) || near(from) ? (
              <path
                key={`${from.key}>${node.key}`}
                class="edge"
                d={`M${from.x + WIDTH} ${from.y + HEIGHT / 2}C${from.x + WIDTH + GAP.x / 2} ${from.y + HEIGHT / 2} ${node.x - GAP.x / 2} ${node.y + HEIGHT / 2} ${node.x} ${node.y + HEIGHT / 2}`}
              />
            ) : null,
          ),
        )}
        {nodes.filter(near).map((node) => {
          const state = stateOf(node.lanes);
          const here = node.lanes.some((lane) => lane.key === chosen.task);
          return (
            <g
              key={node.key}
              class={`node ${state}${here ? " chosen" : ""}`}
              role="listitem"
              aria-label={`${node.title}, ${STATES[state]}`}
              transform={`translate(${node.x} ${node.y})`}
              onClick={() => choose({ task: node.key, call: null })}
            >
              {node.lanes.length > 1 && <rect class="behind" x="3" y="3" width={WIDTH} height={HEIGHT} rx="5" />}
              <rect width={WIDTH} height={HEIGHT} rx="5" />
              <rect class="mark" x="0.5" y="6" width="3" height={HEIGHT - 12} rx="1.5" />
              <text x="12" y={HEIGHT / 2 + 4}>
                {oneLine(node.title, 200).length > 26 ? `${oneLine(node.title, 25)}…` : oneLine(node.title, 26)}
              </text>
              <title>{oneLine(node.lanes[0]?.task?.prompt ?? node.title, 300)}</title>
            </g>
          );
        })}
      </svg>
    </div>
  );
}
