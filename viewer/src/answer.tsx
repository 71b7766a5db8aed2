// What came of a run: what waits for a decision, the answer and who stands behind it, votes, and notes.
import { useSignal } from "@preact/signals";
import { Fragment } from "preact";
import { useMemo } from "preact/hooks";
import { decide } from "./feed";
import { linkTo, type View } from "./place";
import type { Run, StandingsStep } from "./run";
import type { PendingCall } from "./events";
import { Text } from "./task";
import { count, oneLine, plural, seconds } from "./text";

interface Props {
  run: Run;
  id: string;
  view: View;
  /** Whether calls that wait can be decided here. */
  decides: boolean;
}

export function Answer({ run, id, view, decides }: Props) {
  void run.version.value;
  const text = run.text || run.output;
  return (
    <article class="answer" aria-label="Answer">
      {[...run.waiting.values()].map((call) => (
        <Approval key={call.id} id={id} call={call} decides={decides} view={view} />
      ))}
      <Votes run={run} id={id} view={view} />
      <Standings run={run} id={id} view={view} />
      {(text || (run.status !== "running" && run.status !== "suspended")) && (
        <section>
          <h2>{run.status === "running" ? "Answer so far" : "Answer"}</h2>
          {run.winner && run.winner !== text && <p class="winner">{run.winner}</p>}
          {run.text && run.citations.length > 0 ? (
            <Cited run={run} id={id} view={view} />
          ) : text ? (
            <Text text={text} live={run.status === "running"} />
          ) : (
            <p class="quiet">There is none.</p>
          )}
          {run.status === "killed" && (
            <p class="note limit">
              The process that made this run is gone. <code>contemplate resume {id}</code> goes on with it.
            </p>
          )}
          {run.stoppedBy && <p class="note limit">Stopped by the limit: {run.stoppedBy}</p>}
          {!run.complete && !run.stoppedBy && <p class="note limit">Something is missing from this answer.</p>}
        </section>
      )}
      {run.error && (
        <section class="error">
          <h3>{run.error.kind}</h3>
          <Text text={run.error.message} />
          {run.error.hint && <p class="hint">{run.error.hint}</p>}
        </section>
      )}
      {run.support.length > 0 && (
        <section>
          <h3>Rests on</h3>
          <Tasks run={run} id={id} view={view} tasks={run.support} />
        </section>
      )}
      {run.dissent.length > 0 && (
        <section>
          <h3>Dissent</h3>
          {run.dissent.map((each) => (
            <div class="dissent" key={each.answer}>
              <Text text={each.answer} />
              <Tasks run={run} id={id} view={view} tasks={each.tasks} />
            </div>
          ))}
        </section>
      )}
      {run.status === "running" && !text && !run.votes.length && !run.standings.length && run.planText && !run.planReady && (
        <section>
          <h2>Plan, as it is written</h2>
          <Text text={run.planText} live mono />
        </section>
      )}
      {run.notes.length > 0 && (
        <section>
          <h3>Notes</h3>
          <ul class="notes">
            {run.notes.slice(0, 200).map((note, index) => (
              <li class={note.kind} key={index}>
                <time>{seconds(note.at)}</time>{" "}
                {note.lane ? <a href={linkTo(id, { task: note.lane.key, view })}>{note.lane.title}</a> : null}{" "}
                <span>{note.text}</span>
              </li>
            ))}
          </ul>
          {run.notes.length > 200 && <p class="quiet">and {count(run.notes.length - 200)} more</p>}
        </section>
      )}
    </article>
  );
}

/** The answer, each of whose passages leads to the tasks on which it rests. */
function Cited({ run, id, view }: { run: Run; id: string; view: View }) {
  // Places are counted in characters, which JavaScript may hold in two.
  const letters = useMemo(() => Array.from(run.text), [run.text]);
  const piece = (from: number, to: number): string => letters.slice(from, to).join("");
  const title = (task: string): string => oneLine(titleOf(run, task), 60);
  let before = 0;
  const passages = run.citations.map((each) => {
    const plain = piece(before, each.start);
    before = each.marks_end;
    return (
      <Fragment key={each.start}>
        {plain}
        <span class="passage">{piece(each.start, each.end)}</span>
        {each.tasks.map((task) => (
          <a class="cite" key={task} href={linkTo(id, { task, view })} title={title(task)}>
            {title(task)}
          </a>
        ))}
      </Fragment>
    );
  });
  return (
    <div class="text cited" dir="auto">
      {passages}
      {piece(before, letters.length)}
    </div>
  );
}

function Tasks({ run, id, view, tasks }: { run: Run; id: string; view: View; tasks: string[] }) {
  const all = useSignal(false);
  const shown = all.value ? tasks : tasks.slice(0, 24);
  return (
    <p class="chips">
      {shown.map((task) => {
        const lane = run.lanes.get(task);
        return (
          <a class={`chip ${lane?.state ?? ""}`} key={task} href={linkTo(id, { task, view })}>
            {oneLine(lane?.title ?? task, 60)}
          </a>
        );
      })}
      {tasks.length > shown.length && (
        <button class="more" onClick={() => (all.value = true)}>
          and {count(tasks.length - shown.length)} more
        </button>
      )}
    </p>
  );
}

function Votes({ run, id, view }: { run: Run; id: string; view: View }) {
  const step = run.votes.at(-1);
  const margin = run.margin();
  if (!step || !margin) return null;
  const lead = margin.decided
    ? `decided, ${margin.lead} ahead`
    : `${margin.lead} ahead, ${margin.toCome} to come` + (margin.missing ? `, ${margin.missing} more would decide` : "");
  return (
    <section class="votes">
      <h2>
        Votes <span class="quiet">{lead}</span>
      </h2>
      <Bars counts={step.votes} />
      <p class="chips falls" aria-label="Votes as they fell">
        {run.votes.slice(-60).map((each, index) =>
          each.lane ? (
            <a
              key={index}
              href={linkTo(id, { task: each.lane.key, view })}
              class={each.lane.vote === step.votes[0]?.[0] ? "with" : "other"}
              title={`${seconds(each.at)} ${each.lane.title}: ${oneLine(each.lane.vote ?? "", 80)}`}
              aria-label={`${each.lane.title}: ${oneLine(each.lane.vote ?? "", 80)}`}
            />
          ) : null,
        )}
      </p>
    </section>
  );
}

/** Answers, or candidates, with their votes or points, the strongest first. */
function Bars({ counts }: { counts: [string, number][] }) {
  const most = counts[0]?.[1] || 1;
  return (
    <ul class="bars">
      {counts.map(([name, number], index) => (
        <li key={index}>
          <span class="label" title={oneLine(name, 400)}>
            {oneLine(name, 120)}
          </span>
          <span class="bar">
            <i style={{ width: `${(number / most) * 100}%` }} />
          </span>
          <span class="number">{count(number)}</span>
        </li>
      ))}
    </ul>
  );
}

function Standings({ run, id, view }: { run: Run; id: string; view: View }) {
  const step = run.standings.at(-1);
  if (!step) return null;
  const facts = [step.round === null ? null : `round ${step.round}`, step.decided ? "decided" : null];
  const compared = run.standings.filter((each) => each.pair !== null).slice(-60);
  return (
    <section class="votes standings">
      <h2>
        Tournament <span class="quiet">{facts.filter(Boolean).join(", ")}</span>
      </h2>
      <Bars counts={step.points.map(([task, points]) => [titleOf(run, task), points])} />
      {compared.length > 0 && (
        <ul class="notes" aria-label="Comparisons">
          {compared.map((each, index) => (
            <li key={index}>
              <time>{seconds(each.at)}</time> Round {each.round}: <Compared run={run} id={id} view={view} step={each} />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** Who beat whom, the better one first. */
function Compared({ run, id, view, step }: { run: Run; id: string; view: View; step: StandingsStep }) {
  const [first, second] = step.pair ?? ["", ""];
  const [better, other] = (step.score ?? 0.5) < 0.5 ? [second, first] : [first, second];
  const link = (task: string) => <a href={linkTo(id, { task, view })}>{oneLine(titleOf(run, task), 60)}</a>;
  return (
    <span>
      {link(better)}
      {step.score === null ? " and, without a verdict, " : step.score === 0.5 ? " draws with " : " beats "}
      {link(other)}
    </span>
  );
}

const titleOf = (run: Run, task: string): string => run.lanes.get(task)?.title ?? task;

function Approval({ id, call, decides, view }: { id: string; call: PendingCall; decides: boolean; view: View }) {
  const why = useSignal("");
  const busy = useSignal(false);
  const failed = useSignal("");
  const act = async (decision: "approve" | "deny"): Promise<void> => {
    busy.value = true;
    failed.value = "";
    try {
      await decide(id, call.id, decision, why.value);
    } catch (error) {
      failed.value = error instanceof Error ? error.message : String(error);
    }
    busy.value = false;
  };
  return (
    <section class="approval" aria-label={`${call.tool} waits for a decision`}>
      <h2>
        <span class="mono">{call.tool}</span> waits for a decision
      </h2>
      <p class="facts">
        {call.task && <a href={linkTo(id, { task: call.task, view })}>{oneLine(call.task, 60)}</a>}
        {call.why && <span>{call.why}</span>}
      </p>
      <pre class="args">{JSON.stringify(call.arguments ?? {}, null, 2)}</pre>
      {decides && call.kind === "approval" ? (
        <div class="decide">
          <button class="yes" disabled={busy.value} onClick={() => void act("approve")}>
            Approve
          </button>
          <button class="no" disabled={busy.value} onClick={() => void act("deny")}>
            Deny
          </button>
          <input
            aria-label="Why it is denied"
            placeholder="why not (for the model)"
            value={why.value}
            onInput={(event) => (why.value = event.currentTarget.value)}
          />
        </div>
      ) : (
        <p class="quiet">It can be decided where the run was made: contemplate resume {id}</p>
      )}
      {failed.value && (
        <p class="note error" role="alert">
          {failed.value}
        </p>
      )}
    </section>
  );
}

export function headline(run: Run): string {
  const parts = [`${count(run.done)} of ${plural(run.tasks, "task")}`];
  if (run.going) parts.push(`${count(run.going)} running`);
  return parts.join(", ");
}
