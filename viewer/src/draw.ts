// What is drawn of the lanes in view: bars of calls in three tones, tools, and marks for what happened to a call.
import { waitedOf, type Call, type Lane, type Run } from "./run";

export const ROW = 26;
const LEFT = 4;

export interface Scale {
  from: number;
  to: number;
  width: number;
}

interface Shown {
  open: ReadonlySet<string>;
  task: string | null;
  call: number | null;
}

type Colors = Record<
  "paper" | "line" | "faint" | "ink" | "muted" | "select" | "planner" | "subagent" | "aggregator" | "tool" | "bad" | "cut" | "gone" | "hold" | "retry" | "hedge" | "swap" | "learn",
  string
>;

const NAMES: (keyof Colors)[] = [
  "paper", "line", "faint", "ink", "muted", "select", "planner", "subagent", "aggregator", "tool", "bad", "cut", "gone", "hold",
  "retry", "hedge", "swap", "learn",
]; // prettier-ignore

function colors(): Colors {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as Colors;
}

function fit(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const dense = devicePixelRatio || 1;
  const [w, h] = [Math.round(width * dense), Math.round(height * dense)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const ctx = canvas.getContext("2d")!;
  ctx.setTransform(dense, 0, 0, dense, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return ctx;
}

export function draw(
  canvas: HTMLCanvasElement,
  axis: HTMLCanvasElement,
  run: Run,
  lanes: Lane[],
  scale: Scale,
  shown: Shown,
): void {
  const color = colors();
  const total = scale.width + 12;
  const height = lanes.length * ROW;
  const ctx = fit(canvas, total, height);
  const x = (time: number): number => LEFT + ((time - scale.from) / (scale.to - scale.from)) * scale.width;
  const ticks = marksOf(scale);

  ctx.fillStyle = color.faint;
  for (const tick of ticks) ctx.fillRect(Math.round(x(tick)), 0, 1, height);
  drawAxis(fit(axis, total, 28), run, ticks, x, color, total);

  const now = run.now();
  lanes.forEach((lane, row) => {
    const top = row * ROW;
    if (lane.key === shown.task) {
      ctx.fillStyle = color.select;
      ctx.fillRect(0, top, total, ROW);
    }
    drawLane(ctx, lane, top, x, now, run, shown, color);
  });
  if (run.live && run.status === "running") {
    ctx.fillStyle = color.muted;
    ctx.fillRect(Math.round(x(now)), 0, 1, height);
  }
}

function drawLane(
  ctx: CanvasRenderingContext2D,
  lane: Lane,
  top: number,
  x: (time: number) => number,
  now: number,
  run: Run,
  shown: Shown,
  color: Colors,
): void {
  const middle = top + ROW / 2;
  const start = lane.start ?? now;
  const end = lane.end ?? (lane.start === null ? null : now);
  if (lane.role === "subagent" && start - lane.planned > 0 && lane.state !== "planned") {
    // What it waited for before it began: the tasks that it needs, or its turn.
    ctx.fillStyle = color.line;
    for (let at = x(lane.planned); at < x(start); at += 5) ctx.fillRect(at, middle, 2, 1);
  }
  if (lane.start !== null && end !== null) {
    ctx.fillStyle = color.line;
    ctx.fillRect(x(start), middle - 0.5, Math.max(x(end) - x(start), 1), 1);
  }
  if (lane.children.length && !shown.open.has(lane.key)) drawWithin(ctx, lane, top, x, now, color);
  for (const tool of lane.tools) {
    ctx.fillStyle = tool.error ? color.bad : color.tool;
    block(ctx, x(tool.start), x(tool.end ?? now), middle - 3, 6, 2);
  }
  const ground = lane.key === shown.task ? color.select : color.paper;
  lane.calls.forEach((call, number) =>
    drawCall(ctx, call, x, middle, now, color, ground, lane.key === shown.task && number === shown.call),
  );
  for (const note of lane.notes) if (note.kind === "learnt") diamond(ctx, x(note.at), top + 5, color.learn);
  if (lane.waits && lane.state !== "answered" && run.waiting.has(lane.waits.id)) {
    const at = x(lane.end ?? now);
    ctx.fillStyle = color.hold;
    ctx.fillRect(at + 2, middle - 6, 3, 12);
    ctx.fillRect(at + 7, middle - 6, 3, 12);
  }
}

function drawCall(
  ctx: CanvasRenderingContext2D,
  call: Call,
  x: (time: number) => number,
  middle: number,
  now: number,
  color: Colors,
  ground: string,
  chosen: boolean,
): void {
  const end = call.end ?? now;
  const sent = Math.min(call.start + waitedOf(call, now), end);
  const first = call.first === null ? (call.end === null ? end : sent) : Math.min(sent + call.first, end);
  const [a, b, c, d] = [x(call.start), x(sent), x(first), Math.max(x(end), x(call.start) + 2)];
  const cancelled = call.error?.kind.includes("Cancel") ?? false;
  const tone = call.error ? (cancelled ? color.gone : color.bad) : call.finish === "length" ? color.cut : color[call.role];
  const height = 12;
  const top = middle - height / 2;
  if (b - a > 1) {
    ctx.fillStyle = ground;
    ctx.fillRect(a, middle - 2.5, b - a, 5);
    ctx.strokeStyle = tone;
    ctx.globalAlpha = 0.55;
    ctx.lineWidth = 1;
    ctx.strokeRect(a + 0.5, middle - 2.5, Math.max(b - a - 1, 0.5), 5);
    ctx.globalAlpha = 1;
  }
  ctx.fillStyle = tone;
  if (c - b > 0.5) {
    ctx.fillStyle = ground;
    ctx.fillRect(b, top, c - b, height);
    ctx.fillStyle = tone;
    ctx.globalAlpha = 0.38;
    block(ctx, b, c, top, height, 2);
    ctx.globalAlpha = 1;
  }
  if (d - c > 0) block(ctx, c, d, top, height, 2);
  if (cancelled) {
    ctx.fillStyle = color.muted;
    ctx.fillRect(d - 1, top - 2, 1.5, height + 4);
  }
  for (const each of call.again) {
    const at = x(each.at);
    if (each.reason === "retried") ring(ctx, at, middle, color.retry);
    else if (each.reason === "hedged") diamond(ctx, at, middle, color.hedge);
    else square(ctx, at, middle, color.swap);
  }
  if (chosen) {
    ctx.strokeStyle = color.ink;
    ctx.lineWidth = 1.5;
    ctx.strokeRect(a - 1.5, top - 2.5, Math.max(d - a, 2) + 3, height + 5);
  }
}

/** The calls of the runs within a folded lane, as a row of thin bars. */
function drawWithin(
  ctx: CanvasRenderingContext2D,
  lane: Lane,
  top: number,
  x: (time: number) => number,
  now: number,
  color: Colors,
): void {
  ctx.globalAlpha = 0.5;
  const each = (inner: Lane): void => {
    for (const call of inner.calls) {
      ctx.fillStyle = call.error ? color.bad : color[call.role];
      const from = x(call.start);
      ctx.fillRect(from, top + ROW - 8, Math.max(x(call.end ?? now) - from, 1), 2);
    }
    inner.children.forEach(each);
  };
  lane.children.forEach(each);
  ctx.globalAlpha = 1;
}

function block(
  ctx: CanvasRenderingContext2D,
  from: number,
  to: number,
  top: number,
  height: number,
  radius: number,
): void {
  const width = Math.max(to - from, 1.5);
  if (width < 5) {
    ctx.fillRect(from, top, width, height);
    return;
  }
  ctx.beginPath();
  ctx.roundRect(from, top, width, height, radius);
  ctx.fill();
}

function ring(ctx: CanvasRenderingContext2D, x: number, y: number, tone: string): void {
  ctx.beginPath();
  ctx.arc(x, y, 4, 0, 7);
  ctx.fillStyle = tone;
  ctx.fill();
}

function diamond(ctx: CanvasRenderingContext2D, x: number, y: number, tone: string): void {
  ctx.beginPath();
  ctx.moveTo(x, y - 5);
  ctx.lineTo(x + 5, y);
  ctx.lineTo(x, y + 5);
  ctx.lineTo(x - 5, y);
  ctx.fillStyle = tone;
  ctx.fill();
}

function square(ctx: CanvasRenderingContext2D, x: number, y: number, tone: string): void {
  ctx.fillStyle = tone;
  ctx.fillRect(x - 4, y - 4, 8, 8);
}

function marksOf(scale: Scale): number[] {
  const span = scale.to - scale.from;
  const least = (span / scale.width) * 90;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= least) ?? least;
  const marks: number[] = [];
  for (let at = Math.ceil(scale.from / step) * step; at <= scale.to; at += step) marks.push(Number(at.toPrecision(12)));
  return marks;
}

function drawAxis(
  ctx: CanvasRenderingContext2D,
  run: Run,
  ticks: number[],
  x: (time: number) => number,
  color: Colors,
  width: number,
): void {
  ctx.fillStyle = color.muted;
  ctx.font = "11px system-ui, sans-serif";
  const step = ticks.length > 1 ? ticks[1]! - ticks[0]! : 1;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  for (const tick of ticks) {
    const text = tick === 0 ? "0" : step < 0.01 ? `${(tick * 1000).toFixed(0)} ms` : `${tick.toFixed(digits)} s`;
    if (x(tick) + 4 + ctx.measureText(text).width < width) ctx.fillText(text, Math.round(x(tick)) + 4, 12);
    ctx.fillRect(Math.round(x(tick)), 2, 1, 26);
  }
  // What happened to the run as a whole: votes as they fell, comparisons, and notes.
  ctx.fillStyle = color.aggregator;
  for (const vote of [...run.votes, ...run.standings]) ctx.fillRect(x(vote.at), vote.decided ? 16 : 20, vote.decided ? 2 : 1, 12);
  for (const note of run.notes) {
    ctx.fillStyle = note.kind === "error" ? color.bad : note.kind === "limit" ? color.hold : note.kind === "learnt" ? color.learn : color.muted;
    ctx.fillRect(x(note.at) - 1, 22, 3, 3);
  }
}
