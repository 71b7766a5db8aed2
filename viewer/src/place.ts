// Where in the page one is: what stands after the "#", so that each run, task and call has a link.
import { computed, signal } from "@preact/signals";

export type View = "timeline" | "plan" | "calls" | "costs";

export interface Place {
  page: "runs" | "run" | "compare";
  runs: string[];
  task: string | null;
  call: number | null;
  view: View;
}

const VIEWS: readonly string[] = ["timeline", "plan", "calls", "costs"];
const hash = signal(location.hash);

export const place = computed(() => parse(hash.value));

addEventListener("hashchange", () => {
  hash.value = location.hash;
});

function parse(text: string): Place {
  const [path = "", query = ""] = text.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decode);
  const wanted = new URLSearchParams(query).get("view") ?? "";
  const view = (VIEWS.includes(wanted) ? wanted : "timeline") as View;
  const at: Place = { page: "runs", runs: [], task: null, call: null, view };
  if (parts[0] === "compare" && parts[1] && parts[2]) return { ...at, page: "compare", runs: [parts[1], parts[2]] };
  if (parts[0] !== "runs" || !parts[1]) return at;
  const task = parts[2] === "tasks" ? (parts[3] ?? null) : null;
  const call = task !== null && parts[4] === "calls" && /^\d+$/.test(parts[5] ?? "") ? Number(parts[5]) : null;
  return { page: "run", runs: [parts[1]], task, call, view };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function linkTo(run: string, to: { task?: string | null; call?: number | null; view?: View } = {}): string {
  let path = `#/runs/${encodeURIComponent(run)}`;
  if (to.task != null) path += `/tasks/${encodeURIComponent(to.task)}`;
  if (to.task != null && to.call != null) path += `/calls/${to.call}`;
  return to.view && to.view !== "timeline" ? `${path}?view=${to.view}` : path;
}

/** Go there; without a mark in the history if it is only another selection. */
export function go(link: string, replace = false): void {
  if (replace) history.replaceState(null, "", link);
  else history.pushState(null, "", link);
  hash.value = location.hash;
}

/** Take the key out of the address, as it was opened, and go where it leads. */
export function takeKey(): string | null {
  const given = new URLSearchParams(location.hash.slice(1));
  const key = location.hash.startsWith("#key=") ? given.get("key") : null;
  if (key !== null) go(`#${given.get("to") ?? "/"}`, true);
  return key;
}
