// A run, made of its events one by one: its lanes, their calls, and what became of it. Nothing is ever gone through anew.
import { signal } from "@preact/signals";
import type { Behind, CallName, Citation, Dissent, Event, Failure, PendingCall, ResultData, Role, TaskData, Usage } from "./events";

export type State = "planned" | "running" | "answered" | "capped" | "failed" | "cancelled" | "suspended";
export type RunStatus = "running" | "answered" | "partial" | "suspended" | "failed" | "killed";

export interface Again {
  at: number;
  reason: "retried" | "hedged" | "replaced";
  message: string;
}

export interface Call {
  lane: Lane;
  role: Role;
  number: number;
  model: string;
  start: number;
  queued: number;
  /** What it waits behind now. */
  behind: Behind | null;
  first: number | null;
  end: number | null;
  again: Again[];
  finish: string;
  error: Failure | null;
  usage: Usage | null;
  text: string;
  thought: string;
  /** What it says while it is made once more, after its run was resumed. */
  redo: { start: number; text: string; thought: string } | null;
}

export interface ToolUse {
  lane: Lane;
  id: string;
  name: string;
  start: number;
  end: number | null;
  args: string;
  result: string;
  said: string;
  error: Failure | null;
}

export interface Note {
  at: number;
  lane: Lane | null;
  text: string;
  kind: "note" | "learnt" | "limit" | "error";
}

export interface Lane {
  key: string;
  id: string;
  role: Role;
  parent: Lane | null;
  level: number;
  children: Lane[];
  task: TaskData | null;
  title: string;
  state: State;
  planned: number;
  start: number | null;
  end: number | null;
  model: string;
  calls: Call[];
  tools: ToolUse[];
  notes: Note[];
  result: ResultData | null;
  waits: PendingCall | null;
  vote: string | null;
  supports: boolean | null;
  spent: Usage;
  depth: number;
}

export interface VoteStep {
  at: number;
  lane: Lane | null;
  votes: [string, number][];
  decided: boolean;
}

/** The standings of a tournament, the strongest candidate first, and the comparison that made them. */
export interface StandingsStep {
  at: number;
  points: [string, number][];
  decided: boolean;
  round: number | null;
  pair: [string, string] | null;
  score: number | null;
}

const NONE: Usage = {
  calls: 0,
  input_tokens: 0,
  cached_input_tokens: 0,
  output_tokens: 0,
  reasoning_tokens: 0,
  cost_usd: 0,
};

export function plus(one: Usage, other: Usage): Usage {
  const cost = one.cost_usd == null || other.cost_usd == null ? null : one.cost_usd + other.cost_usd;
  return {
    calls: one.calls + other.calls,
    input_tokens: one.input_tokens + other.input_tokens,
    cached_input_tokens: one.cached_input_tokens + other.cached_input_tokens,
    output_tokens: one.output_tokens + other.output_tokens,
    reasoning_tokens: one.reasoning_tokens + other.reasoning_tokens,
    cost_usd: cost,
  };
}

export class Run {
  /** Grows with each batch of events; what reads the run reads it, too, to be drawn again. */
  readonly version = signal(0);
  question = "";
  model = "";
  status: RunStatus = "running";
  error: Failure | null = null;
  output = "";
  text = "";
  support: string[] = [];
  dissent: Dissent[] = [];
  citations: Citation[] = [];
  winner: string | null = null;
  stoppedBy: string | null = null;
  complete = true;
  planText = "";
  planReady = false;
  readonly lanes = new Map<string, Lane>();
  readonly roots: Lane[] = [];
  readonly calls: Call[] = [];
  readonly votes: VoteStep[] = [];
  readonly standings: StandingsStep[] = [];
  readonly notes: Note[] = [];
  readonly waiting = new Map<string, PendingCall>();
  readonly spentBy: Record<Role, Usage> = { planner: NONE, subagent: NONE, aggregator: NONE };
  spent: Usage = NONE;
  /** The time of the last event, in seconds, and when it came here. */
  last = 0;
  cameAt = 0;
  tasks = 0;
  done = 0;
  going = 0;

  /** The time now, in seconds of the run: what goes on grows with it. */
  now(): number {
    return this.status === "running" && this.live ? this.last + (performance.now() - this.cameAt) / 1000 : this.last;
  }

  live = false;

  /** The lanes in the order in which they are shown, without those that are folded. */
  shown(open: ReadonlySet<string>): Lane[] {
    const lanes: Lane[] = [];
    const add = (lane: Lane): void => {
      lanes.push(lane);
      if (open.has(lane.key)) lane.children.forEach(add);
    };
    const late = this.roots.filter((lane) => lane.role === "aggregator");
    this.roots.filter((lane) => lane.role === "planner").forEach(add);
    this.roots.filter((lane) => lane.role === "subagent").forEach(add);
    late.forEach(add);
    return lanes;
  }

  fold(event: Event): void {
    const path = event.path ?? "";
    const at = event.at ?? this.last;
    if (at > this.last) this.last = at;
    switch (event.kind) {
      case "run_started":
        if (path) break;
        this.question = event.question;
        this.model = event.model;
        this.status = "running";
        this.waiting.clear();
        break;
      case "plan_delta": {
        if (!path) this.planText += event.text;
        const call = this.openCall(this.roleLane(path, "planner"), at);
        if (call) write(call, event.text, "");
        break;
      }
      case "task_planned":
        this.plan(path, event.task, at);
        break;
      case "plan_ready":
        if (!path) this.planReady = true;
        break;
      case "noted":
        this.note(event.message, path, at);
        break;
      case "limit_reached":
        this.notes.push({ at, lane: null, text: `Limit reached: ${event.limit}`, kind: "limit" });
        break;
      case "context_condensed": {
        const text = `${event.turns} old turns condensed, ${event.tokens_before} to ${event.tokens_after} tokens`;
        const lane = this.lane(path, event.task_id, at);
        const note: Note = { at, lane, text, kind: "note" };
        lane.notes.push(note);
        this.notes.push(note);
        break;
      }
      case "task_started": {
        const lane = this.lane(path, event.task_id, at);
        if (lane.start === null) lane.start = at;
        lane.model = event.model;
        this.setState(lane, "running");
        lane.end = null;
        break;
      }
      case "task_delta": {
        const lane = this.lane(path, event.task_id, at);
        const call = this.openCall(lane, at);
        if (!call) break;
        if (event.restart) clear(call);
        write(call, event.text ?? "", event.reasoning ?? "");
        break;
      }
      case "call_started":
        this.callStarted(path, event.name, event.model, at);
        break;
      case "call_queued": {
        const call = this.callOf(path, event.name);
        if (!call || call.redo) break;
        call.behind = event.behind ?? null;
        call.queued = at - call.start;
        break;
      }
      case "call_repeated": {
        const call = this.callOf(path, event.name);
        call?.again.push({ at, reason: event.reason, message: event.message ?? "" });
        break;
      }
      case "model_called":
        this.called(path, event, at);
        break;
      case "tool_started": {
        const lane = this.lane(path, event.task_id, at);
        const known = lane.tools.find((tool) => tool.id === event.call_id);
        if (known) break;
        lane.tools.push({
          lane,
          id: event.call_id,
          name: event.tool,
          start: at,
          end: null,
          args: event.arguments ?? "",
          result: "",
          said: "",
          error: null,
        });
        break;
      }
      case "tool_progress":
      case "tool_finished": {
        const lane = this.lane(path, event.task_id, at);
        const tool = lane.tools.findLast((each) => each.id === event.call_id);
        if (!tool) break;
        if (event.kind === "tool_progress") tool.said = `${event.tool}: ${event.message}`;
        else if (tool.end === null) {
          tool.end = at;
          tool.result = event.text ?? "";
          tool.error = event.error ?? null;
        }
        break;
      }
      case "call_waiting":
        this.wait(event.call);
        break;
      case "task_finished":
        this.finish(path, event.result, at);
        break;
      case "vote_counted":
        if (!path) this.vote(event.task_id, event.votes, event.decided, at);
        break;
      case "standings_changed":
        if (path) break;
        this.standings.push({
          at,
          points: ranked(event.points),
          decided: event.decided,
          round: event.round ?? null,
          pair: event.pair ?? null,
          score: event.score ?? null,
        });
        break;
      case "output_delta": {
        if (path) break;
        this.output = (event.restart ? "" : this.output) + (event.text ?? "");
        const lane = this.lanes.get("@aggregator");
        const call = lane && lane.calls.at(-1);
        if (call && call.end === null) {
          if (event.restart) clear(call);
          write(call, event.text ?? "", event.reasoning ?? "");
        }
        break;
      }
      case "run_finished":
        if (path) break;
        this.status = event.complete ? "answered" : "partial";
        this.complete = event.complete;
        this.text = event.text;
        this.support = event.support ?? [];
        this.dissent = event.dissent ?? [];
        this.citations = event.citations ?? [];
        this.winner = event.answer ?? null;
        this.stoppedBy = event.stopped_by ?? null;
        for (const id of this.support) this.markSupport(id, true);
        for (const each of this.dissent) for (const id of each.tasks) this.markSupport(id, false);
        this.over(event.usage);
        break;
      case "run_suspended":
        if (path) break;
        this.status = "suspended";
        for (const call of event.pending) this.wait(call);
        this.over(event.usage);
        break;
      case "run_failed":
        if (path) break;
        this.status = "failed";
        this.error = event.error;
        this.over(event.usage);
        break;
      case "killed":
        this.status = "killed";
        this.over(this.spent);
        break;
      case "reset":
        break;
    }
  }

  /** Votes: how far the first is ahead, how many are to come, and how many of these it needs to be sure. */
  margin(): { lead: number; toCome: number; missing: number; decided: boolean } | null {
    const step = this.votes.at(-1);
    if (!step) return null;
    const first = step.votes[0]?.[1] ?? 0;
    const lead = first - (step.votes[1]?.[1] ?? 0);
    let toCome = 0;
    if (this.status === "running")
      for (const lane of this.roots)
        if (lane.role === "subagent" && lane.vote === null && (lane.state === "planned" || lane.state === "running"))
          toCome += 1;
    const missing = toCome < lead || step.decided ? 0 : Math.floor((toCome - lead) / 2) + 1;
    return { lead, toCome, missing, decided: step.decided };
  }

  private markSupport(id: string, value: boolean): void {
    const lane = this.lanes.get(id);
    if (lane) lane.supports = value;
  }

  private over(usage: Usage): void {
    // The run's own sum counts what no event told.
    if (usage.calls) this.spent = usage;
    for (const lane of this.lanes.values()) {
      for (const call of lane.calls) end(call, this.last);
      if (lane.state === "running" && this.status !== "suspended") {
        this.setState(lane, lane.role === "subagent" ? "cancelled" : "answered");
        lane.end ??= this.last;
      }
    }
  }

  private setState(lane: Lane, state: State): void {
    if (lane.role === "subagent" && lane.parent === null) {
      const ended = (each: State): number => (each === "planned" || each === "running" || each === "suspended" ? 0 : 1);
      this.done += ended(state) - ended(lane.state);
      this.going += Number(state === "running") - Number(lane.state === "running");
    }
    lane.state = state;
  }

  private lane(path: string, id: string, at: number): Lane {
    const key = path ? `${path}/${id}` : id;
    const known = this.lanes.get(key);
    if (known) return known;
    if (!path && id === "aggregator") return this.roleLane("", "aggregator", at);
    return this.addLane(key, id, "subagent", path, at);
  }

  private roleLane(path: string, role: Role, at = this.last): Lane {
    const key = path ? `${path}/@${role}` : `@${role}`;
    return this.lanes.get(key) ?? this.addLane(key, role, role, path, at);
  }

  private addLane(key: string, id: string, role: Role, path: string, at: number): Lane {
    const parent = path ? this.around(path) : null;
    const lane: Lane = {
      key,
      id,
      role,
      parent,
      level: parent ? parent.level + 1 : 0,
      children: [],
      task: null,
      title: role === "planner" ? "Planner" : role === "aggregator" ? "Aggregator" : id,
      state: "planned",
      planned: at,
      start: null,
      end: null,
      model: "",
      calls: [],
      tools: [],
      notes: [],
      result: null,
      waits: null,
      vote: null,
      supports: null,
      spent: NONE,
      depth: 0,
    };
    this.lanes.set(key, lane);
    (parent ? parent.children : this.roots).push(lane);
    if (role === "subagent" && !parent) this.tasks += 1;
    return lane;
  }

  /** The lane within which the run at a path is. */
  private around(path: string): Lane | null {
    for (let rest = path; rest; rest = rest.slice(0, Math.max(0, rest.lastIndexOf("/")))) {
      const plain = rest.replace(/#\d+$/, "");
      const lane = this.lanes.get(rest) ?? this.lanes.get(plain) ?? this.lanes.get(`@${plain}`);
      if (lane) return lane;
    }
    return null;
  }

  private plan(path: string, task: TaskData, at: number): void {
    const lane = this.lane(path, task.id, at);
    lane.task = task;
    lane.title = task.title ?? (task.kind === "answer" ? "Answer" : task.id);
    lane.depth = 0;
    for (const need of task.needs ?? []) {
      const other = this.lanes.get(path ? `${path}/${need}` : need);
      if (other && other.depth >= lane.depth) lane.depth = other.depth + 1;
    }
  }

  private note(message: string, path: string, at: number): void {
    const named = /task '([^']+)'/.exec(message);
    const lane = named?.[1] ? (this.lanes.get(path ? `${path}/${named[1]}` : named[1]) ?? null) : null;
    const note: Note = { at, lane, text: message, kind: message.includes("learnt from") ? "learnt" : "note" };
    this.notes.push(note);
    lane?.notes.push(note);
  }

  private laneOfCall(path: string, name: CallName, at: number): Lane {
    return name.task !== undefined && name.task !== null && name.role === "subagent"
      ? this.lane(path, name.task, at)
      : this.roleLane(path, name.role, at);
  }

  private callOf(path: string, name: CallName): Call | undefined {
    const lane = this.laneOfCall(path, name, this.last);
    return lane.calls.find((call) => call.number === name.turn && call.role === name.role);
  }

  private callStarted(path: string, name: CallName, model: string, at: number): Call {
    const known = this.callOf(path, name);
    if (known) {
      // The run was resumed: the call is remembered, or made once more.
      known.redo = { start: at, text: "", thought: "" };
      return known;
    }
    const lane = this.laneOfCall(path, name, at);
    const call: Call = {
      lane,
      role: name.role,
      number: name.turn,
      model,
      start: at,
      queued: 0,
      behind: null,
      first: null,
      end: null,
      again: [],
      finish: "",
      error: null,
      usage: null,
      text: "",
      thought: "",
      redo: null,
    };
    lane.calls.push(call);
    this.calls.push(call);
    if (lane.start === null) lane.start = at;
    if (lane.role !== "subagent") {
      this.setState(lane, "running");
      lane.end = null;
      lane.model ||= model;
    }
    return call;
  }

  private openCall(lane: Lane, at: number): Call | undefined {
    const call = lane.calls.findLast((each) => each.end === null || each.redo);
    if (call && !call.redo && call.first === null) call.first = Math.max(0, at - call.start - call.queued);
    return call;
  }

  private called(path: string, event: Extract<Event, { kind: "model_called" }>, at: number): void {
    const call = this.callOf(path, event.name) ?? this.callStarted(path, event.name, event.model, at - event.seconds);
    const redo = call.redo;
    call.redo = null;
    if (redo && event.recorded) return;
    if (redo) {
      call.start = redo.start;
      call.text = redo.text;
      call.thought = redo.thought;
    }
    if (event.recorded) call.start = Math.min(call.start, at);
    call.model = event.model;
    call.end = at;
    call.behind = null;
    call.queued = event.queued ?? 0;
    call.first = event.first ?? null;
    call.finish = event.finish ?? "";
    call.error = event.error ?? null;
    call.usage = event.usage;
    const lane = call.lane;
    lane.spent = plus(lane.spent, event.usage);
    for (let outer = lane.parent; outer; outer = outer.parent) outer.spent = plus(outer.spent, event.usage);
    let root = lane;
    while (root.parent) root = root.parent;
    this.spentBy[root.role] = plus(this.spentBy[root.role], event.usage);
    this.spent = plus(this.spent, event.usage);
    if (lane.role !== "subagent") {
      lane.end = at;
      if (!lane.calls.some((each) => each.end === null)) this.setState(lane, call.error ? "failed" : "answered");
    }
  }

  private finish(path: string, result: ResultData, at: number): void {
    const lane = this.lane(path, result.task.id, at);
    if (!lane.task) lane.task = result.task;
    if (lane.start === null) lane.start = at - result.seconds;
    lane.end = at;
    lane.result = result;
    lane.model = result.model ?? lane.model;
    this.setState(lane, result.outcome);
    if (result.error) {
      const note: Note = { at, lane, text: result.error.message, kind: "error" };
      lane.notes.push(note);
      this.notes.push(note);
    }
    for (const call of lane.calls) end(call, at);
    for (const tool of lane.tools) if (result.outcome !== "suspended") tool.end ??= at;
  }

  private wait(call: PendingCall): void {
    this.waiting.set(call.id, call);
    const lane = call.task ? this.lanes.get(call.task) : null;
    if (lane) lane.waits = call;
  }

  private vote(id: string, votes: Record<string, number>, decided: boolean, at: number): void {
    const before = new Map(this.votes.at(-1)?.votes ?? []);
    const now = ranked(votes);
    const lane = this.lanes.get(id) ?? null;
    if (lane) lane.vote = now.find(([answer, count]) => count > (before.get(answer) ?? 0))?.[0] ?? "";
    this.votes.push({ at, lane, votes: now, decided });
  }
}

/** Numbers by name, the greatest first: JavaScript puts names that are numbers first. */
function ranked(counts: Record<string, number>): [string, number][] {
  return Object.entries(counts).sort((one, other) => other[1] - one[1]);
}

function write(call: Call, text: string, thought: string): void {
  const to = call.redo ?? call;
  to.text += text;
  to.thought += thought;
}

function clear(call: Call): void {
  const to = call.redo ?? call;
  to.text = "";
  to.thought = "";
}

/** End a call of which nothing more is told. */
function end(call: Call, at: number): void {
  if (call.end !== null) return;
  call.queued = waitedOf(call, at);
  call.behind = null;
  call.end = at;
}

/** How long a call waited for its turn, or has been waiting. */
export const waitedOf = (call: Call, now: number): number => (call.behind ? now - call.start : call.queued);

/** What a call says, or has said. */
export function said(call: Call): { text: string; thought: string } {
  return call.redo && call.redo.text ? call.redo : call;
}
