// The page: which of its parts is shown follows from the address, after the "#".
import { render } from "preact";
import { useSignal } from "@preact/signals";
import { locked, setKey } from "./feed";
import { place, takeKey } from "./place";
import { Compare, RunPage } from "./run-page";
import { Runs } from "./runs";

const packed = document.getElementById("run");

function App() {
  const at = place.value;
  if (packed) return <RunPage at={{ ...at, page: "run", runs: ["run"] }} packed={packed} />;
  return (
    <>
      <header class="top">
        <a href="#/" class="home">
          contemplate
        </a>
        {at.page !== "runs" && <a href="#/">Runs</a>}
      </header>
      {locked.value ? <Lock /> : at.page === "runs" ? <Runs /> : at.page === "compare" ? <Compare at={at} key={at.runs.join()} /> : <RunPage at={at} packed={null} key={at.runs[0] ?? ""} />}
    </>
  );
}

function Lock() {
  const key = useSignal("");
  return (
    <main class="page lock">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          setKey(key.value.trim());
        }}
      >
        <h1>This server wants a key</h1>
        {locked.value === "wrong" && (
          <p class="note error" role="alert">
            That key is not one of this server's.
          </p>
        )}
        <p class="quiet">It stays in this tab, and is sent to this server only.</p>
        <input
          type="password"
          aria-label="Key"
          autocomplete="off"
          autofocus
          value={key.value}
          onInput={(event) => (key.value = event.currentTarget.value)}
        />
        <button disabled={!key.value.trim()}>Open</button>
      </form>
    </main>
  );
}

const given = packed ? null : takeKey();
if (given !== null) setKey(given);
render(<App />, document.getElementById("app")!);
