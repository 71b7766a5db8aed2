// Numbers and times as people read them.
import type { Behind } from "./events";

export function seconds(value: number): string {
  if (value < 0.0995) return `${Math.round(value * 1000)} ms`;
  if (value < 9.95) return `${value.toFixed(1)} s`;
  if (value < 99.5) return `${Math.round(value)} s`;
  const minutes = Math.floor(Math.round(value) / 60);
  const rest = Math.round(value) % 60;
  return minutes < 60 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const counts = new Intl.NumberFormat("en");
export const count = (value: number): string => counts.format(value);

export function short(value: number): string {
  if (value < 10_000) return count(value);
  return value < 999_500 ? `${Math.round(value / 1000)} k` : `${(value / 1e6).toFixed(1)} M`;
}

export function money(value: number | null | undefined): string {
  if (value == null) return "–";
  if (value === 0) return "$0";
  return value < 0.01 ? `$${value.toFixed(4)}` : `$${value.toFixed(2)}`;
}

export const plural = (number: number, one: string, many = `${one}s`): string =>
  `${count(number)} ${number === 1 ? one : many}`;

export function when(created: number): string {
  const date = new Date(created * 1000);
  const today = new Date().toDateString() === date.toDateString();
  return today
    ? date.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false })
    : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

const two = (value: number): string => String(value).padStart(2, "0");

export const oneLine = (text: string, most = 200): string => text.slice(0, most * 2).replace(/\s+/g, " ").slice(0, most);

/** What a call waits for that has not had its turn. */
export const BEHIND: Record<Behind, string> = {
  concurrency: "for other calls of the run",
  limits: "for its share of a limit",
  rate: "for its turn at the server",
  prefix: "for a prompt that begins like its own",
};

export const STATES: Record<string, string> = {
  planned: "to come",
  running: "running",
  answered: "answered",
  partial: "partial",
  capped: "cut short",
  failed: "failed",
  cancelled: "stopped",
  suspended: "waits",
  interrupted: "interrupted",
  killed: "killed",
  damaged: "damaged",
};
