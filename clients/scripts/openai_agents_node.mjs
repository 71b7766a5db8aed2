// The openai-agents package of JS with its defaults, responses.
import { Agent, run, setDefaultOpenAIClient, setTracingDisabled, tool } from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";
import { KEY, MODEL, QUESTION, URL, WEATHER, dataUrl } from "./given.mjs";

setTracingDisabled(true);
setDefaultOpenAIClient(new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY }));
const agent = (options) => new Agent({ name: "Assistant", model: MODEL, ...options });
const City = z.object({ name: z.string(), country: z.string(), population: z.number() });

export async function chat() {
  return { text: (await run(agent(), QUESTION)).finalOutput };
}

export async function stream() {
  const pieces = [];
  for await (const text of (await run(agent(), QUESTION, { stream: true })).toTextStream()) pieces.push(text);
  return { pieces };
}

export async function tools() {
  const calls = [];
  const weather = tool({
    name: "weather",
    description: "Tell the weather in a city.",
    parameters: z.object({ city: z.string() }),
    execute: async ({ city }) => (calls.push(city), WEATHER[city]),
  });
  return { text: (await run(agent({ tools: [weather] }), QUESTION)).finalOutput, calls };
}

export async function structured() {
  return { object: (await run(agent({ outputType: City }), QUESTION)).finalOutput };
}

export async function images() {
  const content = [{ type: "input_text", text: QUESTION }, { type: "input_image", image: dataUrl() }];
  return { text: (await run(agent(), [{ role: "user", content }])).finalOutput };
}

export async function errors() {
  try {
    await run(agent(), QUESTION);
  } catch (error) {
    return { error: error.message };
  }
}

export async function cancel() {
  const leaving = new AbortController();
  const result = await run(agent(), QUESTION, { stream: true, signal: leaving.signal });
  for await (const _ of result.toTextStream()) leaving.abort();
}
