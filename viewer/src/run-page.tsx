// One run: its question and its numbers, the timeline and other views of it, and beside them the answer or a task.
import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { Answer, headline } from "./answer";
import { exportRun, Feed, locked } from "./feed";
import { go, linkTo, type Place, type View } from "./place";
import { Plan } from "./plan";
import type { Run } from "./run";
import { Calls, Costs } from "./tables";
import { Task } from "./task";
import { Timeline, type Chosen } from "./timeline";
import { count, money, oneLine, seconds, short, STATES } from "./text";

export function useFeed(id: string, packed: Element | null): Feed {
  const feed = useMemo(() => new Feed(id, packed), [id, locked.value]);
  useEffect(() => () => feed.stop(), [feed]);
  return feed;
}

const VIEWS: [View, string][] = [
  ["timeline", "Timeline"],
  ["plan", "Plan"],
  ["calls", "Calls"],
  ["costs", "Costs"],
];

export function RunPage({ at, packed }: { at: Place; packed: Element | null }) {
  const id = at.runs[0] ?? "";
  const feed = useFeed(id, packed);
  const run = feed.run.value;
  void run.version.value;
  const details = useRef<HTMLElement>(null);
  const { task, call, view } = at;
  const choose = (chosen: Chosen): void => go(linkTo(id, { ...chosen, view }), true);
  const lane = task === null ? undefined : run.lanes.get(task);
  useEffect(() => {
    document.title = run.question ? `${oneLine(run.question, 60)} – contemplate` : "contemplate";
  }, [run.question]);
  if (feed.failed.value && !run.cameAt)
    return (
      <main class="page">
        <p class="empty" role="alert">
          {feed.failed.value}
        </p>
      </main>
    );
  if (!run.cameAt)
    return (
      <main class="page">
        <p class="empty">The run is being read …</p>
      </main>
    );
  return (
    <main class="run">
      <Head run={run} id={id} packed={packed !== null} failed={feed.failed.value} />
      <nav class="tabs" aria-label="Views of the run">
        {VIEWS.map(([name, title]) => (
          <a key={name} href={linkTo(id, { task, call, view: name })} aria-current={name === view ? "page" : undefined}>
            {title}
          </a>
        ))}
      </nav>
      <div class="split">
        <div class="main">
          {view === "timeline" && (
            <Timeline
              run={run}
              chosen={{ task, call }}
              choose={choose}
              enter={() => details.current?.focus()}
              label="Tasks of the run"
            />
          )}
          {view === "plan" && <Plan run={run} chosen={{ task, call }} choose={choose} />}
          {view === "calls" && <Calls run={run} id={id} view={view} />}
          {view === "costs" && <Costs run={run} id={id} view={view} />}
        </div>
        <aside
          class="details"
          ref={details}
          tabIndex={-1}
          aria-label={lane ? "Task" : "Answer"}
          onKeyDown={(event) => {
            if (event.key !== "Escape") return;
            choose({ task: null, call: null });
            document.querySelector<HTMLElement>(".names")?.focus();
          }}
        >
          {lane && (
            <a class="back" href={linkTo(id, { view })}>
              ← Answer
            </a>
          )}
          {lane ? (
            <Task run={run} id={id} lane={lane} call={call} view={view} key={lane.key} />
          ) : task !== null && feed.ended.value ? (
            <p class="empty">There is no task {oneLine(task, 60)} in this run.</p>
          ) : (
            <Answer run={run} id={id} view={view} decides={packed === null} />
          )}
        </aside>
      </div>
    </main>
  );
}

function Head({ run, id, packed, failed }: { run: Run; id: string; packed: boolean; failed: string }) {
  void run.version.value;
  const tick = useSignal(0);
  const goesOn = run.live && run.status === "running";
  useEffect(() => {
    if (!goesOn) return;
    const clock = setInterval(() => (tick.value += 1), 250);
    return () => clearInterval(clock);
  }, [goesOn]);
  void tick.value;
  const share = run.tasks ? run.done / run.tasks : 0;
  return (
    <header class="head">
      <h1 title={run.question.slice(0, 2000)}>{oneLine(run.question, 400) || id}</h1>
      <p class="facts" role="status">
        <span class={`chip ${run.status}`}>{STATES[run.status]}</span>
        {run.tasks > 0 && <span>{headline(run)}</span>}
        <span>{seconds(run.now())}</span>
        <span title={`${count(run.spent.input_tokens)} tokens read, ${count(run.spent.output_tokens)} written`}>
          {short(run.spent.input_tokens)} → {short(run.spent.output_tokens)} tokens
        </span>
        {run.spent.cost_usd ? <span>{money(run.spent.cost_usd)}</span> : null}
        <span class="model">{oneLine(run.model, 60)}</span>
        {failed && <span class="bad">{failed}</span>}
        {!packed && (
          <button class="export" onClick={() => void exportRun(id)} title="One file of HTML that shows this run anywhere">
            Export
          </button>
        )}
      </p>
      {run.status === "running" && (
        <progress aria-label="Tasks that are done" max={1} value={run.tasks ? share : undefined} />
      )}
    </header>
  );
}

/** Two runs, one beside the other, on one scale of time. */
export function Compare({ at }: { at: Place }) {
  const [one = "", other = ""] = at.runs;
  const feeds = [useFeed(one, null), useFeed(other, null)];
  const runs = feeds.map((feed) => feed.run.value);
  for (const run of runs) void run.version.value;
  const until = Math.max(...runs.map((run) => run.now()));
  return (
    <main class="compare">
      {runs.map((run, index) => {
        const id = at.runs[index] ?? "";
        return (
          <section key={id} aria-label={`Run ${id}`}>
            <header class="head">
              <h1>
                <a href={linkTo(id)}>{oneLine(run.question, 300) || id}</a>
              </h1>
              <p class="facts">
                <span class={`chip ${run.status}`}>{STATES[run.status]}</span>
                <span>{headline(run)}</span>
                <span>{seconds(run.now())}</span>
                <span>
                  {short(run.spent.input_tokens)} → {short(run.spent.output_tokens)} tokens
                </span>
                {run.spent.cost_usd ? <span>{money(run.spent.cost_usd)}</span> : null}
                <span class="model">{oneLine(run.model, 60)}</span>
                {feeds[index]?.failed.value && <span class="bad">{feeds[index]?.failed.value}</span>}
              </p>
            </header>
            <Timeline
              run={run}
              until={until}
              chosen={{ task: null, call: null }}
              choose={(chosen) => go(linkTo(id, chosen))}
              label={`Tasks of run ${id}`}
            />
            <Answer run={run} id={id} view="timeline" decides={false} />
          </section>
        );
      })}
    </main>
  );
}
