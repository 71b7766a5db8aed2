// What the page asks its server for. The key is kept for the tab alone, and sent as a header, never in an address.
import { signal } from "@preact/signals";
import type { Event } from "./events";
import { Run } from "./run";

export interface Overview {
  run_id: string;
  question: string;
  model: string;
  mode: string;
  status: string;
  created: number;
  seconds: number;
  calls: number;
  input_tokens: number;
  output_tokens: number;
  cost_usd: number | null;
  live: boolean;
}

const KEY = "contemplate-key";

/** Whether the server wants a key, or another one. */
export const locked = signal<"" | "missing" | "wrong">("");

export function setKey(key: string): void {
  sessionStorage.setItem(KEY, key);
  locked.value = "";
}

export class Refused extends Error {}

async function ask(path: string, options: RequestInit = {}): Promise<Response> {
  const key = sessionStorage.getItem(KEY);
  const headers = new Headers(options.headers);
  if (key) headers.set("authorization", `Bearer ${key}`);
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401) locked.value = key ? "wrong" : "missing";
  if (!response.ok) throw new Refused(await reason(response));
  return response;
}

async function reason(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { error?: { message?: string } };
    return body.error?.message ?? `the server answered with ${response.status}`;
  } catch {
    return `the server answered with ${response.status}`;
  }
}

export async function listRuns(wanted: Record<string, string>): Promise<{ runs: Overview[]; more: boolean }> {
  const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
  return (await ask(`viewer/runs?${query}`)).json() as Promise<{ runs: Overview[]; more: boolean }>;
}

export async function decide(run: string, call: string, decision: "approve" | "deny", why: string): Promise<void> {
  await ask(`viewer/runs/${encodeURIComponent(run)}/decisions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ call, decision, reason: why }),
  });
}

export async function exportRun(run: string): Promise<void> {
  const page = await (await ask(`viewer/runs/${encodeURIComponent(run)}/page`)).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(page);
  link.download = `run-${run}.html`;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** A run whose events are being read; `failed` says why they are not. */
export class Feed {
  readonly run = signal(new Run());
  readonly failed = signal("");
  readonly ended = signal(false);
  /** When it was asked for, and how long the first batch took to be there, in milliseconds. */
  private stopped = new AbortController();
  private lines = 0;

  constructor(
    readonly id: string,
    private readonly page: Element | null,
  ) {
    void this.read();
  }

  stop(): void {
    this.stopped.abort();
  }

  private async read(): Promise<void> {
    let wait = 500;
    while (!this.stopped.signal.aborted) {
      try {
        const body = this.page ? packed(this.page) : await this.open();
        this.failed.value = "";
        await this.take(body);
        this.ended.value = true;
        return;
      } catch (error) {
        if (this.stopped.signal.aborted) return;
        this.failed.value = error instanceof Error ? error.message : String(error);
        if (error instanceof Refused || this.page) return;
        // The server went, perhaps for a moment.
        await new Promise((resolve) => setTimeout(resolve, wait));
        wait = Math.min(wait * 2, 10_000);
      }
    }
  }

  private async open(): Promise<ReadableStream<Uint8Array>> {
    const path = `viewer/runs/${encodeURIComponent(this.id)}/events?after=${this.lines}`;
    const response = await ask(path, { signal: this.stopped.signal });
    return response.body as ReadableStream<Uint8Array>;
  }

  private async take(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.pipeThrough(new TextDecoderStream() as never).getReader() as ReadableStreamDefaultReader<string>;
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      const lines = (rest + (value ?? "")).split("\n");
      rest = done ? "" : (lines.pop() ?? "");
      if (lines.length) this.add(lines, !this.page);
      if (done) return;
    }
  }

  private add(lines: string[], live: boolean): void {
    let run = this.run.value;
    for (const line of lines) {
      if (!line) continue;
      this.lines += 1;
      const event = JSON.parse(line) as Event;
      if (event.kind === "reset") {
        run = new Run();
        this.lines = 0;
        continue;
      }
      run.fold(event);
    }
    run.live = live;
    run.cameAt = performance.now();
    run.version.value += 1;
    this.run.value = run;
  }
}

/** The events that are packed into this very page. */
function packed(element: Element): ReadableStream<Uint8Array> {
  const bytes = Uint8Array.from(atob(element.textContent ?? ""), (each) => each.charCodeAt(0));
  return new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")) as ReadableStream<Uint8Array>;
}
