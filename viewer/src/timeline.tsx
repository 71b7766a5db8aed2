// The timeline: a lane for each task, a bar for each call, drawn on a canvas; the names beside it are a tree of the page.
import { signal, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { draw, type Scale, ROW } from "./draw";
import { waitedOf, type Call, type Lane, type Run } from "./run";
import { BEHIND, count, money, oneLine, plural, seconds, STATES } from "./text";

// Rows that are drawn above and below those in view, so that scrolling is the browser's alone.
const MARGIN = 12;

export interface Chosen {
  task: string | null;
  call: number | null;
}

interface Props {
  run: Run;
  chosen: Chosen;
  choose: (chosen: Chosen) => void;
  /** Moves the focus to what is told of the chosen task. */
  enter?: () => void;
  label: string;
  /** The last second that is shown when nothing is zoomed; that of the run if undefined. */
  until?: number;
}

export function Timeline({ run, chosen, choose, enter, label, until }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const axis = useRef<HTMLCanvasElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const open = useSignal<ReadonlySet<string>>(new Set());
  const zoomed = useSignal<[number, number] | null>(null);
  const window_ = useSignal({ first: 0, last: 60 });
  const size = useSignal({ width: 0, height: 0 });
  const theme = useSignal(0);

  void run.version.value;
  const rows = run.shown(open.value);
  const lanes = useRef(rows);
  lanes.current = rows;
  // What is drawn next, whenever that is.
  const latest = useRef({ chosen, until });
  latest.current = { chosen, until };
  useEffect(() => {
    // What is within a folded task is shown if it was asked for.
    const lane = chosen.task === null ? null : run.lanes.get(chosen.task);
    const around: string[] = [];
    for (let each = lane?.parent; each; each = each.parent) around.push(each.key);
    if (around.some((key) => !open.value.has(key))) open.value = new Set([...open.value, ...around]);
  }, [run, chosen.task, run.lanes.has(chosen.task ?? "")]);

  const state = useMemo(() => ({ frame: 0, dirty: true }), []);
  const whole = (): [number, number] => [0, Math.max(latest.current.until ?? run.now(), run.now(), 0.001) * 1.02];
  const scale = (): Scale => {
    const [from, to] = zoomed.value ?? whole();
    return { from, to, width: Math.max(1, size.value.width - 12) };
  };

  // Drawn at most once a frame, and only if something has changed; a run that goes on changes with each frame.
  useEffect(() => {
    let stopped = false;
    let lastLive = 0;
    const paint = (now: number): void => {
      if (stopped) return;
      const moves = run.live && run.status === "running" && now - lastLive > 60;
      if ((state.dirty || moves) && canvas.current && axis.current) {
        state.dirty = false;
        lastLive = now;
        const { first, last } = window_.peek();
        const { task, call } = latest.current.chosen;
        draw(canvas.current, axis.current, run, lanes.current.slice(first, last), scale(), {
          open: open.peek(),
          task,
          call,
        });
      }
      requestAnimationFrame(paint);
    };
    requestAnimationFrame(paint);
    return () => {
      stopped = true;
    };
  }, [run]);
  // Whatever of these changes, it is drawn again.
  void [run.version.value, zoomed.value, window_.value, size.value, theme.value, open.value, chosen.task, chosen.call];
  state.dirty = true;

  const look = (): void => {
    const box = scroller.current;
    if (!box) return;
    const rows = lanes.current.length;
    const top = Math.floor(box.scrollTop / ROW);
    const bottom = Math.ceil((box.scrollTop + box.clientHeight) / ROW);
    const { first, last } = window_.peek();
    const far = top < first + MARGIN / 3 || bottom > last - MARGIN / 3;
    const next = { first: Math.max(0, top - MARGIN), last: Math.min(rows, bottom + MARGIN) };
    if ((far || last > rows) && (next.first !== first || next.last !== last)) window_.value = next;
    const width = (canvas.current?.parentElement?.clientWidth ?? 0) | 0;
    if (width !== size.peek().width || box.clientHeight !== size.peek().height)
      size.value = { width, height: box.clientHeight };
  };
  useLayoutEffect(look);
  useEffect(() => {
    const box = scroller.current;
    if (!box) return;
    const watch = new ResizeObserver(look);
    watch.observe(box);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const changed = (): void => {
      theme.value += 1;
    };
    dark.addEventListener("change", changed);
    return () => {
      watch.disconnect();
      dark.removeEventListener("change", changed);
    };
  }, []);

  const reveal = (index: number): void => {
    const box = scroller.current;
    if (!box) return;
    const top = index * ROW;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + ROW > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW - box.clientHeight;
  };
  useEffect(() => {
    const index = lanes.current.findIndex((lane) => lane.key === chosen.task);
    if (index >= 0) reveal(index);
  }, [chosen.task, rows.some((lane) => lane.key === chosen.task)]);

  const zoom = (factor: number, at = 0.5): void => {
    const [from, to] = zoomed.value ?? whole();
    const [, end] = whole();
    const here = from + (to - from) * at;
    const span = Math.max((to - from) * factor, 0.002);
    if (span >= end) zoomed.value = null;
    else pan(here - span * at, span);
  };
  const pan = (from: number, span: number): void => {
    const [, end] = whole();
    const start = Math.min(Math.max(0, from), Math.max(0, end - span));
    zoomed.value = [start, start + span];
  };
  const shift = (share: number): void => {
    if (!zoomed.value) return;
    const [from, to] = zoomed.value;
    pan(from + (to - from) * share, to - from);
  };

  const fold = (lane: Lane, unfold: boolean): void => {
    const next = new Set(open.value);
    if (unfold) next.add(lane.key);
    else next.delete(lane.key);
    open.value = next;
  };

  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const index = rows.findIndex((lane) => lane.key === chosen.task);
    const lane = rows[index];
    const to = (row: number): void => {
      const next = rows[Math.min(Math.max(row, 0), rows.length - 1)];
      if (next) choose({ task: next.key, call: null });
    };
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? ROW) / ROW) - 1);
    const keys: Record<string, () => void> = {
      ArrowDown: () => to(index + 1),
      j: () => to(index + 1),
      ArrowUp: () => to(index < 0 ? 0 : index - 1),
      k: () => to(index < 0 ? 0 : index - 1),
      PageDown: () => to(index + page),
      PageUp: () => to(index - page),
      Home: () => to(0),
      End: () => to(rows.length - 1),
      ArrowRight: () => {
        if (lane?.children.length && !open.value.has(lane.key)) fold(lane, true);
        else if (lane?.children.length) to(index + 1);
      },
      ArrowLeft: () => {
        if (lane && open.value.has(lane.key)) fold(lane, false);
        else if (lane?.parent) choose({ task: lane.parent.key, call: null });
      },
      "]": () => lane && choose({ task: lane.key, call: Math.min((chosen.call ?? -1) + 1, lane.calls.length - 1) }),
      "[": () => lane && choose({ task: lane.key, call: Math.max((chosen.call ?? 1) - 1, 0) }),
      Enter: () => enter?.(),
      Escape: () => choose({ task: null, call: null }),
      "+": () => zoom(0.6),
      "=": () => zoom(0.6),
      "-": () => zoom(1 / 0.6),
      "0": () => (zoomed.value = null),
      ",": () => shift(-0.25),
      ".": () => shift(0.25),
    };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };

  const spot = (event: MouseEvent | PointerEvent): { lane: Lane | undefined; call: Call | undefined; time: number } => {
    const box = canvas.current!.getBoundingClientRect();
    const { from, to, width } = scale();
    const time = from + ((event.clientX - box.left - 4) / width) * (to - from);
    const lane = rows[window_.value.first + Math.floor((event.clientY - box.top) / ROW)];
    const slack = ((to - from) / width) * 3;
    const call = lane?.calls.findLast((each) => each.start - slack <= time && time <= (each.end ?? run.now()) + slack);
    return { lane, call, time };
  };

  // Dragging pans, two fingers zoom, the wheel with Ctrl zooms and with Shift pans; else the page scrolls as always.
  const fingers = useMemo(() => new Map<number, number>(), []);
  const drag = useMemo(() => ({ moved: 0, spread: 0 }), []);
  const down = (event: PointerEvent): void => {
    fingers.set(event.pointerId, event.clientX);
    drag.moved = 0;
  };
  const move = (event: PointerEvent): void => {
    const before = fingers.get(event.pointerId);
    const width = scale().width;
    if (before === undefined) {
      hover(event);
      return;
    }
    const dx = event.clientX - before;
    drag.moved += Math.abs(dx);
    fingers.set(event.pointerId, event.clientX);
    if (fingers.size === 2) {
      const [one = 0, other = 0] = [...fingers.values()];
      const spread = Math.abs(one - other);
      if (drag.spread) zoom(drag.spread / Math.max(spread, 10), 0.5);
      drag.spread = spread;
    } else if (drag.moved > 3) shift(-dx / width);
  };
  const up = (event: PointerEvent): void => {
    fingers.delete(event.pointerId);
    drag.spread = 0;
  };
  const leave = (event: PointerEvent): void => {
    up(event);
    if (tip.current) tip.current.hidden = true;
  };
  const click = (event: MouseEvent): void => {
    if (drag.moved > 3) return;
    const { lane, call } = spot(event);
    if (lane) choose({ task: lane.key, call: call ? lane.calls.indexOf(call) : null });
  };
  const hover = (event: PointerEvent): void => {
    const box = tip.current;
    if (!box || event.pointerType === "touch") return;
    const { lane, call, time } = spot(event);
    const tool = lane?.tools.findLast((each) => each.start <= time && time <= (each.end ?? run.now()));
    box.hidden = !lane || (!call && !tool);
    if (box.hidden || !lane) return;
    box.textContent = tool && !call ? toolLine(tool.name, tool.start, tool.end) : callLine(call!, run);
    const around = scroller.current!.getBoundingClientRect();
    box.style.left = `${Math.min(event.clientX - around.left + 12, around.width - 240)}px`;
    box.style.top = `${event.clientY - around.top + 18}px`;
  };
  useEffect(() => {
    const box = canvas.current;
    const wheel = (event: WheelEvent): void => {
      const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.shiftKey ? event.deltaY : 0;
      if (event.ctrlKey || event.metaKey) {
        const rect = box!.getBoundingClientRect();
        zoom(Math.exp(event.deltaY * 0.003), (event.clientX - rect.left - 4) / scale().width);
      } else if (sideways && zoomed.peek()) shift(sideways / scale().width);
      else return;
      event.preventDefault();
    };
    box?.addEventListener("wheel", wheel, { passive: false });
    return () => box?.removeEventListener("wheel", wheel);
  }, [run]);

  const { first, last } = window_.value;
  return (
    <div class="timeline">
      <div class="axis">
        <div class="zoom" role="group" aria-label="Zoom">
          <button onClick={() => zoom(0.6)} aria-label="Zoom in" title="Zoom in (+)">
            +
          </button>
          <button onClick={() => zoom(1 / 0.6)} aria-label="Zoom out" title="Zoom out (-)">
            −
          </button>
          <button onClick={() => (zoomed.value = null)} disabled={!zoomed.value} title="The whole run (0)">
            Fit
          </button>
        </div>
        <canvas ref={axis} aria-hidden="true" />
      </div>
      <div class="lanes" ref={scroller} onScroll={look}>
        <div class="rows" style={{ height: `${rows.length * ROW}px` }}>
          <div
            class="names"
            role="tree"
            aria-label={label}
            tabIndex={0}
            aria-activedescendant={chosen.task === null ? undefined : laneId(chosen.task)}
            onKeyDown={onKey}
          >
            {rows.slice(first, last).map((lane, offset) => (
              <Name
                key={lane.key}
                lane={lane}
                place={first + offset}
                all={rows.length}
                chosen={lane.key === chosen.task}
                open={open.value.has(lane.key)}
                version={run.version.value}
                choose={choose}
                fold={fold}
              />
            ))}
          </div>
          <div class="field">
            <canvas
              ref={canvas}
              aria-hidden="true"
              style={{ top: `${first * ROW}px` }}
              onPointerDown={down}
              onPointerMove={move}
              onPointerUp={up}
              onPointerLeave={leave}
              onPointerCancel={leave}
              onClick={click}
              onDblClick={(event) => zoom(0.4, (event.offsetX - 4) / scale().width)}
            />
          </div>
        </div>
        <div class="tip" ref={tip} hidden />
      </div>
      <Legend />
    </div>
  );
}

export const laneId = (key: string): string => `lane-${key}`;

interface NameProps {
  lane: Lane;
  place: number;
  all: number;
  chosen: boolean;
  open: boolean;
  version: number;
  choose: (chosen: Chosen) => void;
  fold: (lane: Lane, unfold: boolean) => void;
}

function Name({ lane, place, all, chosen, open, choose, fold }: NameProps) {
  const inner = lane.children.length > 0;
  return (
    <div
      id={laneId(lane.key)}
      class={`name ${lane.state}${chosen ? " chosen" : ""}`}
      role="treeitem"
      aria-selected={chosen}
      aria-level={lane.level + 1}
      aria-posinset={place + 1}
      aria-setsize={all}
      aria-expanded={inner ? open : undefined}
      aria-label={told(lane)}
      style={{ top: `${place * ROW}px`, paddingLeft: `${8 + Math.min(lane.level, 6) * 12}px` }}
      onClick={() => choose({ task: lane.key, call: null })}
      title={oneLine(lane.task?.prompt || lane.title)}
    >
      {inner && (
        <span
          class="fold"
          onClick={(event) => {
            event.stopPropagation();
            fold(lane, !open);
          }}
        >
          {open ? "▾" : "▸"}
        </span>
      )}
      <i class={`dot ${lane.waits && lane.state !== "answered" ? "suspended" : lane.state} ${lane.role}`} />
      <span class="title">{lane.title}</span>
      {lane.supports !== null && <span class={lane.supports ? "for" : "against"}>{lane.supports ? "✓" : "≠"}</span>}
    </div>
  );
}

/** A lane in words, for those who do not see its bars. */
export function told(lane: Lane): string {
  const parts = [lane.title, STATES[lane.state] ?? lane.state];
  if (lane.start !== null && lane.end !== null) parts.push(seconds(lane.end - lane.start));
  if (lane.calls.length) parts.push(plural(lane.calls.length, "call"));
  if (lane.spent.output_tokens) parts.push(`${count(lane.spent.output_tokens)} tokens written`);
  const again = lane.calls.flatMap((call) => call.again.map((each) => each.reason));
  if (again.length) parts.push(again.join(", "));
  if (lane.supports !== null) parts.push(lane.supports ? "supports the answer" : "dissents");
  const waiting = lane.calls.at(-1)?.behind;
  if (waiting) parts.push(`waits ${BEHIND[waiting]}`);
  if (lane.waits && lane.state !== "answered") parts.push(`${lane.waits.tool} waits for a decision`);
  return parts.join(", ");
}

function callLine(call: Call, run: Run): string {
  const end = call.end ?? run.now();
  const parts = [`${call.model} · ${seconds(end - call.start)}`];
  const waited = waitedOf(call, run.now());
  if (waited > 0.0005) parts.push(`queued ${seconds(waited)}`);
  if (call.behind) parts.push(`waits ${BEHIND[call.behind]}`);
  if (call.first !== null) parts.push(`first token ${seconds(call.first)}`);
  if (call.usage) parts.push(`${count(call.usage.input_tokens)} → ${count(call.usage.output_tokens)} tokens`);
  if (call.usage?.cost_usd) parts.push(money(call.usage.cost_usd));
  for (const each of call.again) parts.push(oneLine(`${each.reason}: ${each.message}`, 80));
  if (call.error) parts.push(oneLine(call.error.message, 80));
  return parts.join("\n");
}

const toolLine = (name: string, start: number, end: number | null): string =>
  `${oneLine(name, 60)} · ${end === null ? "running" : seconds(end - start)}`;

const legend = signal(false);

function Legend() {
  const keys = [
    ["queue", "waits for its turn"],
    ["first", "to the first token"],
    ["write", "writes"],
    ["tool", "tool"],
    ["bad", "failed"],
    ["cut", "cut short"],
    ["gone", "stopped"],
    ["hold", "waits for a decision"],
    ["retry", "retried"],
    ["hedge", "hedged"],
    ["swap", "another model"],
    ["learn", "learnt"],
  ];
  return (
    <div class="legend">
      <button aria-expanded={legend.value} onClick={() => (legend.value = !legend.value)}>
        Key
      </button>
      {(legend.value ? keys : keys.slice(0, 4)).map(([name, words]) => (
        <span key={name}>
          <i class={name} />
          {words}
        </span>
      ))}
      <span class="hint" hidden={!legend.value}>
        ↑↓ tasks · [ ] calls · + − 0 zoom · ‹ › pan (, .) · Enter details
      </span>
    </div>
  );
}
