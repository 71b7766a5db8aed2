// What a script is given: where the server is, the key for it, what to ask, and what to show.
import { readFileSync } from "node:fs";

export const URL = process.env.SUITE_URL;
export const KEY = process.env.SUITE_KEY ?? "none";
export const QUESTION = process.env.SUITE_QUESTION;
export const MODEL = "contemplate";
export const WEATHER = { Paris: "17.3 degrees and rain", Oslo: "4.1 degrees and snow" };
export const image = () => readFileSync("image.png");
export const dataUrl = () => `data:image/png;base64,${image().toString("base64")}`;
