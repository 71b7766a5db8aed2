// What is known of one task: what it was asked, each call with what it says, its tools, and what came of it.
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { linkTo, type View } from "./place";
import { said, waitedOf, type Call, type Lane, type Run, type ToolUse } from "./run";
import { BEHIND, count, money, oneLine, seconds, STATES } from "./text";

// Characters of a text that are shown before one asks for all.
const MOST = 20_000;

interface Props {
  run: Run;
  id: string;
  lane: Lane;
  call: number | null;
  view: View;
}

export function Task({ run, id, lane, call, view }: Props) {
  void run.version.value;
  const end = lane.end ?? (lane.start === null ? null : run.now());
  const result = lane.result;
  const last = lane.calls.at(-1);
  const differs = result?.text && result.text.trim() !== (last ? said(last).text.trim() : "");
  return (
    <article class="task" aria-label={lane.title}>
      <header>
        <h2>{lane.title}</h2>
        <p class="facts">
          <span class={`chip ${lane.state}`}>{STATES[lane.state]}</span>
          {lane.title !== lane.id && <code>{oneLine(lane.key, 60)}</code>}
          {lane.model && <span>{lane.model}</span>}
          {lane.start !== null && end !== null && <span>{seconds(end - lane.start)}</span>}
          {lane.spent.calls > 0 && (
            <span>
              {count(lane.spent.input_tokens)} → {count(lane.spent.output_tokens)} tokens
            </span>
          )}
          {lane.spent.cost_usd ? <span>{money(lane.spent.cost_usd)}</span> : null}
          {lane.supports !== null && (
            <span class={lane.supports ? "for" : "against"}>{lane.supports ? "supports the answer" : "dissents"}</span>
          )}
          {lane.vote && <span>voted {oneLine(lane.vote, 60)}</span>}
        </p>
      </header>
      {lane.task?.prompt && (
        <section>
          <h3>Task</h3>
          <Text text={lane.task.prompt} />
          {lane.task.instructions && <Fold title="Instructions" text={lane.task.instructions} />}
          <Needs run={run} id={id} lane={lane} view={view} />
        </section>
      )}
      {lane.notes.map((note) => (
        <p class={`note ${note.kind}`} key={`${note.at}${note.text}`}>
          <time>{seconds(note.at)}</time> {note.text}
        </p>
      ))}
      {steps(lane).map((step) =>
        "args" in step ? (
          <Tool key={`tool-${step.id}-${step.start}`} tool={step} run={run} />
        ) : (
          <CallPart
            key={`call-${step.role}-${step.number}`}
            call={step}
            number={lane.calls.indexOf(step)}
            link={linkTo(id, { task: lane.key, call: lane.calls.indexOf(step), view })}
            chosen={call === lane.calls.indexOf(step)}
            run={run}
          />
        ),
      )}
      {result?.error && (
        <section class="error">
          <h3>{result.error.kind}</h3>
          <Text text={result.error.message} />
          {result.error.hint && <p class="hint">{result.error.hint}</p>}
        </section>
      )}
      {differs && (
        <section>
          <h3>Result</h3>
          <Text text={result.text ?? ""} />
        </section>
      )}
      {lane.children.length > 0 && (
        <section>
          <h3>Runs within</h3>
          <p class="chips">
            {lane.children.slice(0, 50).map((child) => (
              <a class={`chip ${child.state}`} key={child.key} href={linkTo(id, { task: child.key, view })}>
                {child.title}
              </a>
            ))}
            {lane.children.length > 50 && <span>and {count(lane.children.length - 50)} more</span>}
          </p>
        </section>
      )}
    </article>
  );
}

function steps(lane: Lane): (Call | ToolUse)[] {
  return [...lane.calls, ...lane.tools].sort((one, other) => one.start - other.start);
}

function Needs({ run, id, lane, view }: Omit<Props, "call">) {
  const needs = lane.task?.needs ?? [];
  if (!needs.length) return null;
  const around = lane.parent && lane.key.endsWith(lane.id) ? lane.key.slice(0, lane.key.length - lane.id.length) : "";
  return (
    <p class="chips">
      <span class="quiet">needs</span>
      {needs.map((need) => {
        const other = run.lanes.get(around + need);
        return (
          <a class={`chip ${other?.state ?? ""}`} key={need} href={linkTo(id, { task: around + need, view })}>
            {other?.title ?? need}
          </a>
        );
      })}
    </p>
  );
}

interface CallProps {
  call: Call;
  number: number;
  link: string;
  chosen: boolean;
  run: Run;
}

function CallPart({ call, number, link, chosen, run }: CallProps) {
  const here = useRef<HTMLElement>(null);
  useEffect(() => {
    if (chosen) here.current?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const { text, thought } = said(call);
  const live = call.end === null || call.redo !== null;
  const waited = waitedOf(call, run.now());
  const cancelled = call.error?.kind.includes("Cancel");
  return (
    <section ref={here} class={`call${chosen ? " chosen" : ""}`}>
      <h3>
        <a href={link}>Call {number + 1}</a>
        <span class="facts">
          {live ? <span class="chip running">running</span> : null}
          {call.error && <span class={`chip ${cancelled ? "cancelled" : "failed"}`}>{cancelled ? "stopped" : "failed"}</span>}
          {call.finish === "length" && <span class="chip capped">cut short</span>}
          {call.behind && <span class="waits">waits {BEHIND[call.behind]}</span>}
          {waited > 0.0005 && <span>queued {seconds(waited)}</span>}
          {call.first !== null && <span>first token {seconds(call.first)}</span>}
          <span>{seconds((call.end ?? run.now()) - call.start - waited)}</span>
          {call.usage && (
            <span>
              {count(call.usage.input_tokens)} → {count(call.usage.output_tokens)} tokens
            </span>
          )}
          {call.usage && call.usage.cached_input_tokens > 0 && <span>{count(call.usage.cached_input_tokens)} cached</span>}
        </span>
      </h3>
      {call.again.map((each) => (
        <p class="note again" key={each.at}>
          <time>{seconds(each.at)}</time> {each.reason}: {each.message}
        </p>
      ))}
      {thought && <Fold title="Thoughts" text={thought} open={live && !text} />}
      {text && <Text text={text} live={live} />}
      {call.error && !cancelled && <p class="note error">{call.error.message}</p>}
    </section>
  );
}

function Tool({ tool, run }: { tool: ToolUse; run: Run }) {
  return (
    <section class="tool">
      <h3>
        <span class="mono">{tool.name}</span>
        <span class="facts">
          {tool.end === null && <span class="chip running">{tool.said || "running"}</span>}
          {tool.error && <span class="chip failed">{tool.error.kind}</span>}
          <span>{seconds((tool.end ?? run.now()) - tool.start)}</span>
        </span>
      </h3>
      {tool.args && <pre class="args">{pretty(tool.args)}</pre>}
      {tool.result && <Text text={tool.result} mono />}
      {tool.error && !tool.result && <p class="note error">{tool.error.message}</p>}
    </section>
  );
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** A text as it is: never as HTML, and without links. The end of a text that is being written stays in view. */
export function Text({ text, live, mono }: { text: string; live?: boolean; mono?: boolean }) {
  const all = useSignal(false);
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  useLayoutEffect(() => {
    if (live && atEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  });
  const cut = text.length > MOST && !all.value;
  const shown = !cut ? text : live ? text.slice(-MOST) : text.slice(0, MOST);
  return (
    <>
      <div
        ref={box}
        class={`text${live ? " live" : ""}${mono ? " mono" : ""}`}
        dir="auto"
        onScroll={(event) => {
          const { scrollTop, clientHeight, scrollHeight } = event.currentTarget;
          atEnd.current = scrollTop + clientHeight > scrollHeight - 20;
        }}
      >
        {shown}
      </div>
      {cut && (
        <button class="more" onClick={() => (all.value = true)}>
          Show all {count(text.length)} characters
        </button>
      )}
    </>
  );
}

export function Fold({ title, text, open }: { title: string; text: string; open?: boolean }) {
  return (
    <details open={open ?? false}>
      <summary>
        {title} <span class="quiet">{oneLine(text, 80)}</span>
      </summary>
      <Text text={text} />
    </details>
  );
}
