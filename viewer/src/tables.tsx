// The calls of a run, and what it cost, as tables.
import { useSignal } from "@preact/signals";
import { linkTo, type View } from "./place";
import { Rows } from "./rows";
import { waitedOf, type Call, type Lane, type Run } from "./run";
import type { Usage } from "./events";
import { count, money, oneLine, seconds } from "./text";

interface Props {
  run: Run;
  id: string;
  view: View;
}

const CALLS = ["Task", "Model", "Start", "Queue", "First token", "Took", "Read", "Written", "Cost", "End"];

export function Calls({ run, id, view }: Props) {
  void run.version.value;
  return (
    <Rows
      items={run.calls}
      height={28}
      label="Calls"
      header={<Header names={CALLS} />}
      row={(call) => <CallRow call={call} id={id} view={view} run={run} />}
    />
  );
}

function Header({ names }: { names: string[] }) {
  return (
    <div class="row head" role="row">
      {names.map((name) => (
        <span role="columnheader" key={name}>
          {name}
        </span>
      ))}
    </div>
  );
}

function CallRow({ call, id, view, run }: { call: Call; id: string; view: View; run: Run }) {
  const number = call.lane.calls.indexOf(call);
  const cancelled = call.error?.kind.includes("Cancel");
  const end = cancelled ? "stopped" : call.error ? call.error.kind : call.end === null ? "running" : call.finish;
  const again = call.again.map((each) => each.reason).join(", ");
  const waited = waitedOf(call, run.now());
  return (
    <>
      <span role="cell">
        <a href={linkTo(id, { task: call.lane.key, call: number, view })}>
          {oneLine(call.lane.title, 80)}
          {call.lane.calls.length > 1 && ` · ${number + 1}`}
        </a>
      </span>
      <span role="cell">{oneLine(call.model, 60)}</span>
      <span role="cell">{seconds(call.start)}</span>
      <span role="cell">{waited > 0.0005 ? seconds(waited) : ""}</span>
      <span role="cell">{call.first === null ? "" : seconds(call.first)}</span>
      <span role="cell">{seconds((call.end ?? run.now()) - call.start - waited)}</span>
      <span role="cell">{call.usage ? count(call.usage.input_tokens) : ""}</span>
      <span role="cell">{call.usage ? count(call.usage.output_tokens) : ""}</span>
      <span role="cell">{call.usage ? money(call.usage.cost_usd) : ""}</span>
      <span role="cell" class={call.error && !cancelled ? "bad" : ""}>
        {end}
        {again && ` (${again})`}
      </span>
    </>
  );
}

const COSTS: [string, (usage: Usage) => number][] = [
  ["Calls", (usage) => usage.calls],
  ["Read", (usage) => usage.input_tokens],
  ["Cached", (usage) => usage.cached_input_tokens],
  ["Written", (usage) => usage.output_tokens],
  ["Thoughts", (usage) => usage.reasoning_tokens],
  ["Cost", (usage) => usage.cost_usd ?? 0],
];

export function Costs({ run, id, view }: Props) {
  void run.version.value;
  const by = useSignal(3);
  const measure = COSTS[by.value]?.[1] ?? ((usage: Usage) => usage.output_tokens);
  const lanes = [...run.lanes.values()].filter((lane) => lane.spent.calls > 0);
  lanes.sort((one, other) => measure(other.spent) - measure(one.spent));
  const most = lanes[0] ? Math.max(measure(lanes[0].spent), 1e-9) : 1;
  return (
    <div class="costs">
      <div class="table roles" role="table" aria-label="Cost by role">
        <Header names={["Role", ...COSTS.map(([name]) => name)]} />
        {(
          [
            ["Planner", run.spentBy.planner],
            ["Subagents", run.spentBy.subagent],
            ["Aggregator", run.spentBy.aggregator],
            ["Whole run", run.spent],
          ] as const
        ).map(([name, usage]) => (
          <div class="row" role="row" key={name}>
            <span role="rowheader">{name}</span>
            <Numbers usage={usage} />
          </div>
        ))}
      </div>
      <Rows
        items={lanes}
        height={28}
        label="Cost by task"
        header={
          <div class="row head" role="row">
            <span role="columnheader">Task</span>
            {COSTS.map(([name], index) => (
              <span role="columnheader" key={name} aria-sort={by.value === index ? "descending" : "none"}>
                <button onClick={() => (by.value = index)}>{name}</button>
              </span>
            ))}
          </div>
        }
        row={(lane: Lane) => (
          <>
            <span role="rowheader" class="share">
              <i style={{ width: `${(measure(lane.spent) / most) * 100}%` }} />
              <a href={linkTo(id, { task: lane.key, view })}>{oneLine(lane.title, 80)}</a>
            </span>
            <Numbers usage={lane.spent} />
          </>
        )}
      />
    </div>
  );
}

function Numbers({ usage }: { usage: Usage }) {
  return (
    <>
      <span role="cell">{count(usage.calls)}</span>
      <span role="cell">{count(usage.input_tokens)}</span>
      <span role="cell">{usage.cached_input_tokens ? count(usage.cached_input_tokens) : ""}</span>
      <span role="cell">{count(usage.output_tokens)}</span>
      <span role="cell">{usage.reasoning_tokens ? count(usage.reasoning_tokens) : ""}</span>
      <span role="cell">{money(usage.cost_usd)}</span>
    </>
  );
}
