// AI SDK, responses.
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { createOpenAI } from "@ai-sdk/openai";
import { KEY, MODEL, QUESTION, URL, WEATHER, image } from "./given.mjs";

const provider = createOpenAI({ baseURL: `${URL}/v1`, apiKey: KEY });
const model = provider(MODEL);
const City = z.object({ name: z.string(), country: z.string(), population: z.number() });

export async function chat() {
  return { text: (await generateText({ model, prompt: QUESTION })).text };
}

export async function stream() {
  const pieces = [];
  for await (const text of streamText({ model, prompt: QUESTION }).textStream) pieces.push(text);
  return { pieces };
}

export async function tools() {
  const calls = [];
  const weather = tool({
    description: "Tell the weather in a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => (calls.push(city), WEATHER[city]),
  });
  const done = await generateText({ model, prompt: QUESTION, tools: { weather }, stopWhen: stepCountIs(5) });
  return { text: done.text, calls };
}

export async function structured() {
  return { object: (await generateObject({ model, prompt: QUESTION, schema: City })).object };
}

export async function images() {
  const content = [{ type: "text", text: QUESTION }, { type: "image", image: image() }];
  return { text: (await generateText({ model, messages: [{ role: "user", content }] })).text };
}

export async function errors() {
  try {
    await generateText({ model, prompt: QUESTION });
  } catch (error) {
    return { error: error.message };
  }
}

export async function cancel() {
  const leaving = new AbortController();
  const { textStream } = streamText({ model, prompt: QUESTION, abortSignal: leaving.signal });
  for await (const _ of textStream) return void leaving.abort();
}
