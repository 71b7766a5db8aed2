// The events of a run, as the server tells them: lines of JSON, those of Python's `contemplate.events`.

export interface Usage {
  calls: number;
  input_tokens: number;
  cached_input_tokens: number;
  output_tokens: number;
  reasoning_tokens: number;
  cost_usd?: number | null;
}

export interface Failure {
  kind: string;
  message: string;
  hint?: string;
}

export interface TaskData {
  id: string;
  prompt: string;
  needs?: string[];
  kind?: string;
  title?: string;
  instructions?: string;
  model?: string;
  samples?: number;
}

export interface ResultData {
  task: TaskData;
  outcome: Outcome;
  text?: string;
  error?: Failure;
  usage: Usage;
  model?: string;
  started: number;
  seconds: number;
  support?: string[];
  dissent?: Dissent[];
}

export type Outcome = "answered" | "capped" | "failed" | "cancelled" | "suspended";
export type Role = "planner" | "subagent" | "aggregator";

export interface Dissent {
  answer: string;
  tasks: string[];
}

/** A passage of an answer, by its characters, and the tasks on which it rests. */
export interface Citation {
  start: number;
  end: number;
  marks_end: number;
  tasks: string[];
}

export interface CallName {
  role: Role;
  task?: string;
  turn: number;
}

/** What a call waits behind. */
export type Behind = "concurrency" | "limits" | "rate" | "prefix";

export interface PendingCall {
  id: string;
  task?: string;
  tool: string;
  arguments?: Record<string, unknown>;
  why?: string;
  kind: "approval" | "external";
}

interface Base {
  run_id?: string;
  path?: string;
  at?: number;
}

export type Event = Base &
  (
    | { kind: "run_started"; question: string; model: string }
    | { kind: "plan_delta"; text: string }
    | { kind: "task_planned"; task: TaskData }
    | { kind: "noted"; message: string }
    | { kind: "plan_ready" }
    | { kind: "task_started"; task_id: string; model: string }
    | { kind: "task_delta"; task_id: string; text?: string; reasoning?: string; restart?: boolean }
    | { kind: "tool_started"; task_id: string; tool: string; call_id: string; arguments?: string }
    | { kind: "tool_progress"; task_id: string; tool: string; call_id: string; message: string }
    | {
        kind: "tool_finished";
        task_id: string;
        tool: string;
        call_id: string;
        seconds: number;
        error?: Failure;
        text?: string;
      }
    | { kind: "call_waiting"; call: PendingCall }
    | { kind: "context_condensed"; task_id: string; turns: number; tokens_before: number; tokens_after: number }
    | { kind: "task_finished"; result: ResultData }
    | { kind: "vote_counted"; task_id: string; votes: Record<string, number>; decided: boolean }
    | {
        kind: "standings_changed";
        points: Record<string, number>;
        decided: boolean;
        round?: number;
        pair?: [string, string];
        score?: number;
      }
    | { kind: "call_started"; name: CallName; model: string }
    | { kind: "call_queued"; name: CallName; behind?: Behind }
    | { kind: "call_repeated"; name: CallName; reason: "retried" | "hedged" | "replaced"; message?: string }
    | {
        kind: "model_called";
        name: CallName;
        model: string;
        usage: Usage;
        seconds: number;
        finish?: string;
        error?: Failure;
        recorded?: boolean;
        queued?: number;
        first?: number;
      }
    | { kind: "limit_reached"; limit: string }
    | { kind: "output_delta"; text?: string; reasoning?: string; restart?: boolean }
    | {
        kind: "run_finished";
        text: string;
        usage: Usage;
        seconds: number;
        complete: boolean;
        stopped_by?: string;
        support?: string[];
        dissent?: Dissent[];
        answer?: string;
        votes?: Record<string, number>;
        points?: Record<string, number>;
        citations?: Citation[];
      }
    | { kind: "run_suspended"; pending: PendingCall[]; usage: Usage; seconds: number }
    | { kind: "run_failed"; error: Failure; usage: Usage; seconds: number }
    | { kind: "killed" }
    | { kind: "reset" }
  );
