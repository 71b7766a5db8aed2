// The openai package of Node, chat completions.
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { KEY, MODEL, QUESTION, URL, WEATHER, dataUrl } from "./given.mjs";

const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY });
const model = MODEL;
const messages = [{ role: "user", content: QUESTION }];
const City = z.object({ name: z.string(), country: z.string(), population: z.number() });

export async function chat() {
  const done = await client.chat.completions.create({ model, messages });
  return { text: done.choices[0].message.content };
}

export async function stream() {
  const pieces = [];
  const chunks = await client.chat.completions.create({ model, messages, stream: true });
  for await (const chunk of chunks) if (chunk.choices[0]?.delta.content) pieces.push(chunk.choices[0].delta.content);
  return { pieces };
}

export async function tools() {
  const calls = [];
  const weather = {
    type: "function",
    function: {
      name: "weather",
      description: "Tell the weather in a city.",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
      parse: JSON.parse,
      function: ({ city }) => (calls.push(city), WEATHER[city]),
    },
  };
  const runner = client.chat.completions.runTools({ model, messages, tools: [weather] });
  return { text: await runner.finalContent(), calls };
}

export async function structured() {
  const done = await client.chat.completions.parse({ model, messages, response_format: zodResponseFormat(City, "city") });
  return { object: done.choices[0].message.parsed };
}

export async function images() {
  const content = [{ type: "text", text: QUESTION }, { type: "image_url", image_url: { url: dataUrl() } }];
  const done = await client.chat.completions.create({ model, messages: [{ role: "user", content }] });
  return { text: done.choices[0].message.content };
}

export async function errors() {
  try {
    await client.chat.completions.create({ model, messages });
  } catch (error) {
    return { error: error.message };
  }
}

export async function cancel() {
  const chunks = await client.chat.completions.create({ model, messages, stream: true });
  for await (const chunk of chunks) if (chunk.choices[0]?.delta.content) return void chunks.controller.abort();
}
