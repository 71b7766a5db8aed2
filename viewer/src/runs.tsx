// The list of runs: those that go on, and those that were written down; searched, filtered, two of them compared.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { listRuns, locked, type Overview } from "./feed";
import { linkTo } from "./place";
import { Rows } from "./rows";
import { money, oneLine, seconds, short, STATES, when } from "./text";

const STATUSES = ["running", "answered", "partial", "suspended", "failed", "interrupted"];
const MODES = [
  "instant",
  "thinking",
  "contemplating",
  "auto",
  "vote",
  "refine",
  "council",
  "verify",
  "contemplate",
  "contemplate-auto",
  "contemplate-thinking",
  "contemplate-instant",
];

export function Runs() {
  const wanted = useSignal<Record<string, string>>({});
  const runs = useSignal<Overview[]>([]);
  const more = useSignal(false);
  const failed = useSignal("");
  const picked = useSignal<string[]>([]);
  const asked = useSignal(false);

  // From the first run on, or from one further down; `anew` if what was wanted has changed.
  const load = async (from: number, anew = false): Promise<void> => {
    const filter = wanted.peek();
    try {
      const page = await listRuns({ ...filter, skip: String(from), most: "100" });
      if (filter !== wanted.peek()) return;
      const before = anew ? [] : runs.peek();
      const new_ = new Set(page.runs.map((run) => run.run_id));
      const oldest = page.runs.at(-1)?.created ?? 0;
      const others = before.filter((run) => !new_.has(run.run_id));
      runs.value = from ? [...others, ...page.runs] : [...page.runs, ...others.filter((run) => page.more && run.created <= oldest)];
      if (from || before.length <= page.runs.length) more.value = page.more;
      failed.value = "";
    } catch (error) {
      failed.value = error instanceof Error ? error.message : String(error);
    }
    asked.value = true;
  };
  useEffect(() => {
    document.title = "Runs – contemplate";
    const soon = setTimeout(() => void load(0, true), asked.peek() ? 150 : 0);
    const again = setInterval(() => {
      if (!document.hidden) void load(0);
    }, 3000);
    return () => {
      clearTimeout(soon);
      clearInterval(again);
    };
  }, [wanted.value, locked.value]);

  const set = (name: string, value: string): void => {
    wanted.value = { ...wanted.value, [name]: value };
  };
  const pick = (id: string, on: boolean): void => {
    picked.value = on ? [...picked.value.filter((each) => each !== id), id].slice(-2) : picked.value.filter((each) => each !== id);
  };
  const models = [...new Set(runs.value.map((run) => run.model).filter(Boolean))].sort();
  const [one, other] = picked.value;
  return (
    <main class="page runs">
      <header class="head">
        <h1>Runs</h1>
        <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
          <input
            type="search"
            placeholder="Search questions and ids"
            aria-label="Search questions and ids"
            onInput={(event) => set("text", event.currentTarget.value)}
          />
          <Choice label="Outcome" options={STATUSES} names={STATES} choose={(value) => set("status", value)} />
          <Choice label="Mode" options={MODES} choose={(value) => set("mode", value)} />
          <Choice label="Model" options={models} choose={(value) => set("model", value)} />
          <Choice
            label="Cost"
            options={["0.01", "0.1", "1", "10"]}
            names={{ "0.01": "$0.01 or more", "0.1": "$0.10 or more", "1": "$1 or more", "10": "$10 or more" }}
            choose={(value) => set("least_cost", value)}
          />
          {one && other ? (
            <a class="button" href={`#/compare/${encodeURIComponent(one)}/${encodeURIComponent(other)}`}>
              Compare
            </a>
          ) : (
            <span class="quiet">{one ? "choose one more to compare" : ""}</span>
          )}
        </form>
      </header>
      {failed.value && (
        <p class="note error" role="alert">
          {failed.value}
        </p>
      )}
      {asked.value && !runs.value.length && !failed.value ? (
        <p class="empty">{Object.values(wanted.value).some(Boolean) ? "No run is like that." : "No run yet."}</p>
      ) : (
        <Rows
          items={runs.value}
          height={40}
          label="Runs"
          onEnd={() => more.value && void load(runs.value.length)}
          header={
            <div class="row head" role="row">
              {["", "Question", "Outcome", "Mode", "Model", "Began", "Took", "Tokens", "Cost"].map((name) => (
                <span role="columnheader" key={name}>
                  {name}
                </span>
              ))}
            </div>
          }
          row={(run) => (
            <>
              <span role="cell">
                <input
                  type="checkbox"
                  aria-label={`Compare run ${run.run_id}`}
                  checked={picked.value.includes(run.run_id)}
                  onChange={(event) => pick(run.run_id, event.currentTarget.checked)}
                />
              </span>
              <span role="cell" class="question">
                <a href={linkTo(run.run_id)} title={oneLine(run.question, 400)}>
                  {oneLine(run.question, 160) || "(no question)"}
                </a>
                <code>{run.run_id}</code>
              </span>
              <span role="cell">
                <span class={`chip ${run.status}`}>{STATES[run.status] ?? run.status}</span>
              </span>
              <span role="cell">{run.mode}</span>
              <span role="cell">{oneLine(run.model, 60)}</span>
              <span role="cell">{when(run.created)}</span>
              <span role="cell">{run.seconds ? seconds(run.seconds) : ""}</span>
              <span role="cell">{run.calls ? short(run.input_tokens + run.output_tokens) : ""}</span>
              <span role="cell">{run.cost_usd ? money(run.cost_usd) : ""}</span>
            </>
          )}
        />
      )}
    </main>
  );
}

interface ChoiceProps {
  label: string;
  options: string[];
  names?: Record<string, string>;
  choose: (value: string) => void;
}

function Choice({ label, options, names = {}, choose }: ChoiceProps) {
  return (
    <select aria-label={label} onChange={(event) => choose(event.currentTarget.value)}>
      <option value="">{label}</option>
      {options.map((value) => (
        <option value={value} key={value}>
          {names[value] ?? value}
        </option>
      ))}
    </select>
  );
}
